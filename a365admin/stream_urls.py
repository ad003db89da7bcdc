"""Addresses of what keeps pages up to date."""

from django.urls import path

from a365admin import stream

app_name = "live"
urlpatterns = [
    path("stream", stream.stream, name="stream"),
    path("poll", stream.poll, name="poll"),
]
