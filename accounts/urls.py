"""Pages of this app."""

from django.urls import path

from accounts import broker_views, developer_views, settings_views, views

app_name = "accounts"
urlpatterns = [
    path("login", views.login_page, name="login"),
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
    path("settings/password", settings_views.password_change, name="password"),
    path("settings/sessions", settings_views.sessions_end, name="sessions"),
    path("settings/developers", developer_views.developers, name="developers"),
    path("settings/developers/new", developer_views.key_new, name="key_new"),
    path("settings/developers/<int:key_id>/revoke", developer_views.key_end, name="key_end"),
    path("settings/developers/revoke-all", developer_views.keys_end, name="keys_end"),
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
