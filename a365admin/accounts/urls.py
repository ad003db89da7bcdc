"""Addresses of the accounts' pages."""

from django.urls import path

from a365admin.accounts import people_views, views

app_name = "accounts"

urlpatterns = [
    path("sign-in/", views.SignIn.as_view(), name="sign-in"),
    path("sign-out/", views.sign_out, name="sign-out"),
    path("profile/", views.profile, name="profile"),
    path("people/", people_views.people, name="people"),
    path("people/add/", people_views.add, name="people-add"),
    path("people/<int:pk>/", people_views.edit, name="people-edit"),
    path("people/<int:pk>/password/", people_views.reset_password, name="people-password"),
]
