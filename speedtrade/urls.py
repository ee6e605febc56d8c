"""Every address of the house, mounted in one place."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularSwaggerSplitView

from accounts import schema  # noqa: F401 - tells the API document how tokens look
from speedtrade import health, learn, styleguide, views
from speedtrade.api_document import DocumentView
from speedtrade.metrics.view import metrics

admin.autodiscover()  # here and not at start: the other processes have no use for admin modules

READ = ["get", "head"]  # the views of the library answer OPTIONS with a fault
# Each address that is tried before the right one costs an order as much as a statement does, so
# what programs ask for most comes first.
api_v1 = [
    path("", include("trading.api_urls")),
    path("", include("marketdata.api_urls")),
    path("", include("portfolio.api_urls")),
    path("", include("accounts.api_urls")),
]
urlpatterns = [
    path("api/v1/", include((api_v1, "api"))),
    path("", views.home, name="home"),
    path("health", health.health, name="health"),
    path("health/live", health.live, name="live"),
    path("health/ready", health.ready, name="ready"),
    path("metrics", metrics, name="metrics"),
    path("offline", views.offline, name="offline"),
    path("sw.js", views.service_worker, name="service-worker"),
    path("status", views.status_page, name="status"),
    path("styleguide", styleguide.styleguide, name="styleguide"),
    path("about/licences", views.licences, name="licences"),
    path("learn", learn.index, name="learn"),
    path("learn/terms", learn.terms, name="learn-terms"),
    path("learn/<slug:slug>", learn.page, name="learn-page"),
    path("problems", views.problems_page, name="problems"),
    path("problems/<slug:slug>", views.problem_page, name="problem"),
    path("", include("accounts.urls")),
    path("", include("marketdata.urls")),
    path("", include("portfolio.urls")),
    path("", include("trading.urls")),
    path("api/schema", DocumentView.as_view(), name="schema"),
    path(
        "api/docs",
        SpectacularSwaggerSplitView.as_view(url_name="schema", http_method_names=READ),
        name="api-docs",
    ),
    path("admin/", admin.site.urls),
]
handler400 = "speedtrade.views.bad_request"
handler403 = "speedtrade.views.permission_denied"
handler404 = "speedtrade.views.page_not_found"
handler500 = "speedtrade.views.server_error"
