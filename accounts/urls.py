"""Pages of this app."""

from django.urls import path

from accounts import settings_views, views

app_name = "accounts"
urlpatterns = [
    path("login", views.login_page, name="login"),
    path("register", views.register_page, name="register"),
    path("register/check", views.register_check, name="register_check"),
    path("logout", views.logout_page, name="logout"),
    path("settings", settings_views.settings_page, name="settings"),
    path("settings/profile", settings_views.profile_change, name="profile"),
    path("settings/trading", settings_views.trading, name="trading"),
    path("settings/appearance", settings_views.appearance, name="appearance"),
    path("settings/columns/<str:table>", settings_views.columns, name="columns"),
    path("settings/security", settings_views.security, name="security"),
    path("settings/password", settings_views.password_change, name="password"),
    path("settings/sessions", settings_views.sessions_end, name="sessions"),
    path("settings/data", settings_views.data, name="data"),
    path("settings/export", settings_views.export, name="export"),
    path("settings/close", settings_views.close, name="close"),
]
