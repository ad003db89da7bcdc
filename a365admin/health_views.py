"""Is the product itself alive? For supervisors, load balancers and ``manage.py up``."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from pools import live


@require_safe
@login_not_required
def healthz(request: HttpRequest) -> JsonResponse:
    """200 while pages can be served; with ``?deep=1`` also what broker, workers, beat and the first sweep say."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    answer = {"web": "ok"}
    if "deep" in request.GET:
        answer |= live.system_liveness().as_words()
    return JsonResponse(answer)
