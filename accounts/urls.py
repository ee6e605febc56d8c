"""Pages of this app."""

from django.urls import path

from accounts import broker_views, device_views, factor_views, passkey_views, settings_views, views

app_name = "accounts"
urlpatterns = [
    path("login", views.login_page, name="login"),
    path("login/code", views.login_code, name="login_code"),
    path("login/passkey", passkey_views.ask_step, name="login_passkey"),
    path("register", views.register_page, name="register"),
    path("register/check", views.register_check, name="register_check"),
    path("logout", views.logout_page, name="logout"),
    path("settings", settings_views.settings_page, name="settings"),
    path("settings/profile", settings_views.profile_change, name="profile"),
    path("settings/trading", settings_views.trading, name="trading"),
    path("settings/limits", settings_views.limits, name="limits"),
    path("settings/appearance", settings_views.appearance, name="appearance"),
    path("settings/notifications", settings_views.notifications, name="notifications"),
    path("settings/columns/<str:table>", settings_views.columns, name="columns"),
    path("settings/security", settings_views.security, name="security"),
    path("settings/security/confirm", factor_views.confirm, name="confirm"),
    path("settings/security/app", factor_views.app, name="factor_app"),
    path("settings/security/codes", factor_views.codes, name="factor_codes"),
    path("settings/security/<int:factor_id>/remove", factor_views.remove, name="factor_remove"),
    path("settings/security/passkey", passkey_views.passkey, name="passkey"),
    path("settings/security/passkey/make", passkey_views.make, name="passkey_make"),
    path("settings/security/passkey/ask", passkey_views.ask, name="passkey_ask"),
    path("settings/security/<int:factor_id>/rename", passkey_views.rename, name="passkey_rename"),
    path("settings/sessions/<int:session_id>/end", device_views.session, name="session_end"),
    path("settings/trusted/<int:browser_id>/end", device_views.trust, name="trust_end"),
    path("settings/trusted/end", device_views.trust_none, name="trust_none"),
    path("settings/password", settings_views.password_change, name="password"),
    path("settings/sessions", settings_views.sessions_end, name="sessions"),
    path("settings/data", settings_views.data, name="data"),
    path("settings/export", settings_views.export, name="export"),
    path("settings/brokers", broker_views.brokers, name="brokers"),
    path("settings/brokers/connect", broker_views.connect, name="connect"),
    path("settings/brokers/choose", broker_views.choose, name="choose"),
    path("settings/brokers/<int:account_id>", broker_views.broker, name="broker"),
    path("settings/brokers/<int:account_id>/test", broker_views.test, name="broker_test"),
    path("settings/brokers/<int:account_id>/stop", broker_views.stop, name="broker_stop"),
    path("settings/brokers/<int:account_id>/resume", broker_views.resume, name="broker_resume"),
    path("settings/brokers/<int:account_id>/change", broker_views.change, name="broker_change"),
    path("settings/brokers/<int:account_id>/key", broker_views.key, name="broker_key"),
    path(
        "settings/brokers/<int:account_id>/disconnect",
        broker_views.disconnect,
        name="broker_disconnect",
    ),
    path("settings/close", settings_views.close, name="close"),
]
