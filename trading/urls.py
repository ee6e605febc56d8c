"""Pages of this app."""

from django.urls import path

from trading import views

app_name = "trading"
urlpatterns = [
    path("markets/<str:symbol>/ticket", views.ticket, name="ticket"),
    path("markets/<str:symbol>/estimate", views.estimate, name="estimate"),
    path("markets/<str:symbol>/review", views.review, name="order_review"),
    path("markets/<str:symbol>/mine", views.here, name="here"),
    path("markets/<str:symbol>/marks", views.marks, name="marks"),
    path("orders", views.orders, name="orders"),
    path("orders/place", views.place, name="order_place"),
    path("orders/<int:order_id>", views.order, name="order"),
    path("orders/<int:order_id>/cancel", views.cancel, name="order_cancel"),
]
