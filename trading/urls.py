"""Pages of this app."""

from django.urls import path

from trading import order_views, views

app_name = "trading"
urlpatterns = [
    path("markets/<str:symbol>/ticket", views.ticket, name="ticket"),
    path("markets/<str:symbol>/estimate", views.estimate, name="estimate"),
    path("markets/<str:symbol>/review", views.review, name="order_review"),
    path("markets/<str:symbol>/mine", views.here, name="here"),
    path("markets/<str:symbol>/marks", views.marks, name="marks"),
    path("trade", views.trade, name="trade"),
    path("standing", views.standing, name="standing"),
    path("orders", order_views.orders, name="orders"),
    path("orders/place", views.place, name="order_place"),
    path("orders/cancel-all", order_views.cancel_all, name="orders_cancel_all"),
    path("orders/<int:order_id>", order_views.order, name="order"),
    path("orders/<int:order_id>/events", order_views.events, name="order_events"),
    path("orders/<int:order_id>/replace", order_views.replace, name="order_replace"),
    path("orders/<int:order_id>/cancel", order_views.cancel, name="order_cancel"),
]
