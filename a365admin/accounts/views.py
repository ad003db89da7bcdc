"""Signing in and out, and somebody's own page."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from axes.helpers import get_cool_off
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout, update_session_auth_hash, views as auth_views
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from a365admin.accounts import services
from a365admin.accounts.forms import OwnPasswordForm, SignInForm, TimeZoneForm
from a365admin.accounts.models import User
from a365admin.audit.context import act_as, acting
from a365admin.audit.models import AuditEntry, Outcome
from a365admin.audit.services import record, record_apart

UNKNOWN_NAME = "(unknown name)"


@method_decorator([login_not_required, never_cache], name="dispatch")
class SignIn(auth_views.LoginView):
    """The sign-in page. django-axes counts failures and locks out: ``locked_out``."""

    template_name = "accounts/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Sign in and record it."""
        response = super().form_valid(form)
        user = form.get_user()
        with act_as(replace(acting(), actor_id=user.pk, actor_name=user.get_username())):
            record(action="session.signed_in", object=user, object_name=user.get_username())
        return response

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """Record the failure; the one that locks out is recorded by ``locked_out``."""
        if not getattr(self.request, "axes_locked_out", False):
            name = known_name(self.request)
            record_apart(action="session.failed", outcome=Outcome.DENIED, object_type="user", object_name=name)
        return super().form_invalid(form)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the demo's hint, in the demo only."""
        hint = settings.VAR / "admin-password.txt" if settings.LAB_CONFIG else None
        return super().get_context_data(**kwargs, demo_password_file=hint)


def known_name(request: HttpRequest) -> str:
    """The name that was typed, if somebody has it: people type their password into the wrong box."""
    typed = request.POST.get("username", "")[:150].replace("\x00", "")
    return typed if User.objects.filter(username=typed).exists() else UNKNOWN_NAME


def locked_out(
    request: HttpRequest, original_response: HttpResponse | None = None, credentials: dict[str, Any] | None = None
) -> HttpResponse:
    """Say that there were too many failures, and when to try again (429). Called by django-axes."""
    wait = get_cool_off(request) or timedelta(minutes=15)
    name, address = known_name(request), acting().address
    # One entry for each lockout, not for each try: whoever keeps trying must not be able to fill the log.
    again = AuditEntry.objects.filter(
        action="session.locked_out", object_name=name, address=address, at__gte=timezone.now() - wait
    )
    if not again.exists():
        record_apart(
            action="session.locked_out",
            outcome=Outcome.DENIED,
            object_type="user",
            object_name=name,
            reason=f"{settings.AXES_FAILURE_LIMIT} failed sign-ins in a row.",
        )
    minutes = round(wait.total_seconds() / 60)
    context = {"minutes": minutes, "again_at": timezone.now() + wait, "limit": settings.AXES_FAILURE_LIMIT}
    response = render(request, "accounts/locked_out.html", context, status=429)
    response["Retry-After"] = str(int(wait.total_seconds()))
    return response


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Sign out and record it."""
    user = request.user
    record(action="session.signed_out", object_type="user", object_id=str(user.pk), object_name=user.get_username())
    logout(request)
    return redirect(settings.LOGOUT_REDIRECT_URL)


@require_http_methods(["GET", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    """Somebody's own page: time zone, password."""
    user = get_object_or_404(User, pk=request.user.pk)
    what = request.POST.get("what", "")
    zone_form = TimeZoneForm(request.POST if what == "zone" else None, initial={"time_zone": user.time_zone})
    password_form = OwnPasswordForm(user, request.POST if what == "password" else None)
    if what == "zone" and zone_form.is_valid():
        services.set_time_zone(user=user, time_zone=zone_form.cleaned_data["time_zone"])
        messages.success(request, "Your time zone is saved.")
        return redirect("accounts:profile")
    if what == "password" and password_form.is_valid():
        services.change_own_password(user=user, password=password_form.cleaned_data["new_password1"])
        update_session_auth_hash(request, user)
        messages.success(request, "Your password is changed. You are signed out everywhere else.")
        return redirect("accounts:profile")
    context = {"person": user, "zone_form": zone_form, "password_form": password_form}
    status = 422 if what else 200
    return render(request, "accounts/profile.html", context, status=status)
