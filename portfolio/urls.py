"""Pages of this app."""

from django.urls import path

from portfolio import report_views, views

app_name = "portfolio"
urlpatterns = [
    path("dashboard", views.dashboard, name="dashboard"),
    path("portfolio", views.portfolio, name="portfolio"),
    path("portfolio/history", views.history, name="history"),
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
