"""The product's addresses, and a view that does nothing behind the same middleware."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.urls import path

from speedtrade.urls import *  # noqa: F403
from speedtrade.urls import urlpatterns as product


@login_not_required
def nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"{}", content_type="application/json")


urlpatterns = [path("bench/nothing", nothing), *product]
