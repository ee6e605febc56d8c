"""The JSON doors of this app, below /api/v1/ (no trailing slashes: the floor strips them)."""

from django.urls import path

from accounts import api

urlpatterns = [
    path("auth/register", api.RegisterView.as_view(), name="auth-register"),
    path("auth/login", api.LoginView.as_view(), name="auth-login"),
    path("auth/refresh", api.RefreshView.as_view(), name="auth-refresh"),
    path("auth/logout", api.LogoutView.as_view(), name="auth-logout"),
    path("auth/me", api.MeView.as_view(), name="auth-me"),
    path("accounts", api.AccountsView.as_view(), name="accounts"),
    path("accounts/<int:account_id>", api.AccountView.as_view(), name="account"),
    path("accounts/<int:account_id>/key", api.AccountKeyView.as_view(), name="account-key"),
    path("accounts/<int:account_id>/test", api.AccountTestView.as_view(), name="account-test"),
    path("accounts/<int:account_id>/stop", api.AccountStopView.as_view(), name="account-stop"),
    path(
        "accounts/<int:account_id>/resume", api.AccountResumeView.as_view(), name="account-resume"
    ),
]
