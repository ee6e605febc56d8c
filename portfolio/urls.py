"""Pages of this app."""

from django.urls import path

from portfolio import report_views, views, views_owned

app_name = "portfolio"
urlpatterns = [
    path("dashboard", views_owned.dashboard, name="dashboard"),
    path("dashboard/welcome", views_owned.welcome, name="welcome"),
    path("portfolio", views_owned.portfolio, name="portfolio"),
    path("portfolio/history", views_owned.history, name="history"),
    path("portfolio/history/table", views_owned.history_table, name="history_table"),
    path("portfolio/lots/<int:position_id>", views_owned.lots, name="lots"),
    path("portfolio/export", views_owned.export, name="export"),
    path("activity", report_views.activity, name="activity"),
    path("activity/export", report_views.activity_export, name="activity_export"),
    path("statements", report_views.statements, name="statements"),
    path("statements/<str:month>", report_views.statement, name="statement"),
    path("statements/<str:month>/csv", report_views.statement_export, name="statement_export"),
    path("taxes", report_views.taxes, name="taxes"),
    path("taxes/<int:year>", report_views.taxes, name="tax_year"),
    path("taxes/<int:year>/csv", report_views.taxes_export, name="taxes_export"),
    path("transfers", views.transfers, name="transfers"),
]
