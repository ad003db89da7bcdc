"""The pages for managing people."""

from __future__ import annotations

from django.contrib import messages
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from a365admin.accounts import services
from a365admin.accounts.decorators import require
from a365admin.accounts.forms import NewPersonForm, PersonForm
from a365admin.accounts.models import Role, User
from a365admin.accounts.permissions import Capability


@require(Capability.MANAGE_USERS)
@require_GET
def people(request: HttpRequest) -> HttpResponse:
    """Everybody who may, or might once, sign in."""
    return render(request, "accounts/people.html", {"people": User.objects.order_by("-is_active", "username")})


@require(Capability.MANAGE_USERS)
@never_cache
@require_http_methods(["GET", "POST"])
def add(request: HttpRequest) -> HttpResponse:
    """Add somebody; their first password is shown once."""
    form = NewPersonForm(request.POST or None, initial={"role": Role.HELPDESK})
    if form.is_valid():
        password = services.random_password()
        try:
            user = services.add_person(**form.cleaned_data, password=password)
        except IntegrityError:
            form.add_error("username", "Somebody has just been given this name. Choose another.")
        else:
            return render(
                request, "accounts/password_once.html", {"person": user, "password": password, "is_new": True}
            )
    status = 422 if form.is_bound else 200
    return render(request, "accounts/person.html", {"form": form}, status=status)


@require(Capability.MANAGE_USERS)
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change somebody's names and role, or deactivate them."""
    person = get_object_or_404(User, pk=pk)
    form = PersonForm(request.POST or None, instance=get_object_or_404(User, pk=pk))
    if form.is_valid():
        try:
            services.change_person(user=person, **form.cleaned_data)
        except services.PersonError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{person.username} is saved.")
            return redirect("accounts:people")
    status = 422 if form.is_bound else 200
    return render(request, "accounts/person.html", {"form": form, "person": person}, status=status)


@require(Capability.MANAGE_USERS)
@never_cache
@require_POST
def reset_password(request: HttpRequest, pk: int) -> HttpResponse:
    """Give somebody a new password, shown once."""
    person = get_object_or_404(User, pk=pk)
    if person.pk == request.user.pk:
        messages.error(request, "This is you: change your own password on your profile page.")
        return redirect("accounts:profile")
    password = services.reset_password(user=person)
    return render(request, "accounts/password_once.html", {"person": person, "password": password, "is_new": False})
