"""Pages of this app."""

from django.urls import path

from portfolio import views

app_name = "portfolio"
urlpatterns = [
    path("dashboard", views.dashboard, name="dashboard"),
    path("portfolio", views.portfolio, name="portfolio"),
    path("portfolio/history", views.history, name="history"),
    path("activity", views.activity, name="activity"),
    path("activity/export", views.activity_export, name="activity_export"),
    path("transfers", views.transfers, name="transfers"),
]
