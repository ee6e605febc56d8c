"""Pages of this app."""

from django.urls import path

from portfolio import views, views_owned

app_name = "portfolio"
urlpatterns = [
    path("dashboard", views_owned.dashboard, name="dashboard"),
    path("dashboard/welcome", views_owned.welcome, name="welcome"),
    path("portfolio", views_owned.portfolio, name="portfolio"),
    path("portfolio/history", views_owned.history, name="history"),
    path("portfolio/history/table", views_owned.history_table, name="history_table"),
    path("portfolio/lots/<int:position_id>", views_owned.lots, name="lots"),
    path("portfolio/export", views_owned.export, name="export"),
    path("activity", views.activity, name="activity"),
    path("activity/export", views.activity_export, name="activity_export"),
    path("transfers", views.transfers, name="transfers"),
]
