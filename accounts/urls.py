"""Pages of this app."""

from django.urls import path

from accounts import views

app_name = "accounts"
urlpatterns = [
    path("login", views.login_page, name="login"),
    path("register", views.register_page, name="register"),
    path("register/check", views.register_check, name="register_check"),
    path("logout", views.logout_page, name="logout"),
    path("settings", views.settings_page, name="settings"),
    path("settings/profile", views.profile_change, name="profile"),
    path("settings/password", views.password_change, name="password"),
]
