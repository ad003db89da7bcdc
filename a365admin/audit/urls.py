"""Addresses of the audit log, each behind the guard that the installation names."""

from django.conf import settings
from django.urls import path
from django.utils.module_loading import import_string

from a365admin.audit import views

app_name = "audit"
guard = import_string(settings.AUDIT_GUARD)

urlpatterns = [
    path("", guard(views.log), name="log"),
    path("entries/<int:pk>/", guard(views.entry), name="entry"),
    path("export", guard(views.export), name="export"),
    path("verify/", guard(views.verify), name="verify"),
]
