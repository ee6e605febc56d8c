"""The admin for support staff: one way in, one index page, and a note of who looked at what."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, update_wrapper
from typing import Any

import structlog
from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotAllowed,
)
from django.shortcuts import redirect, resolve_url
from django.urls import path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

logger = structlog.get_logger(__name__)
METHODS = ("GET", "HEAD", "POST")


class SpeedTradeAdminConfig(SimpleAdminConfig):
    # Simple: only the web process, through its urls, loads the admin modules.
    default_site = "speedtrade.admin_site.SpeedTradeAdminSite"


# Models and services are imported inside the methods: this module is named in INSTALLED_APPS and so
# is loaded before they may be.
class SpeedTradeAdminSite(AdminSite):
    site_header = "SpeedTrade support"
    site_title = "SpeedTrade support"
    index_title = "What needs a person"
    index_template = "admin/index.html"
    enable_nav_sidebar = True

    def get_urls(self) -> Any:
        """Django's own, which ask strangers to the log-in page of the house at once, and ours."""
        from speedtrade.doctor.page import doctor_page
        from speedtrade.view_as import view_as

        shown = self.admin_view(partial(view_as, site=self))
        list_shown = self.admin_view(partial(doctor_page, site=self))
        own = [
            path("accounts/user/<int:user_id>/view-as/", shown, name="view_as"),
            path("doctor/", list_shown, name="doctor"),
        ]
        urls = own + super().get_urls()
        for view in _views(urls):
            if hasattr(view, "login_url"):
                view.login_url = None  # the setting's
        return urls

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Any:
        """Staff who showed a second factor; what one of them may not do is refused and logged.

        Django's views draw their page for any method that they do not know.
        """
        guarded = super().admin_view(view, cacheable)

        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method not in METHODS:
                return HttpResponseNotAllowed(METHODS)
            if self.has_permission(request) and (elsewhere := _factor_first(request)):
                return elsewhere
            try:
                response: HttpResponseBase = guarded(request, *args, **kwargs)
            except PermissionDenied:
                logger.warning("admin_denied", user_id=request.user.pk, path=request.path)
                raise
            return response

        return update_wrapper(inner, guarded)

    def seen(self, request: HttpRequest, target: str, rows: Sequence[str] = ()) -> None:
        """Write down that somebody of the staff looked at `target` ('order:12', 'order:*').

        `rows` are the keys of rows that a page named without being their list. The one thing that a
        GET writes here: without the row nothing is shown. A query is kept whole, for what is cut
        off would hide what was looked for; raises BadRequest for one that is too long to keep.
        """
        from accounts.requests import user_of
        from accounts.services.audit import audit_record

        query = request.GET.urlencode()
        if len(query) > settings.ADMIN_QUERY_MAX:
            raise BadRequest("This address is too long.")
        data = {"query": query, "rows": list(rows)}
        audit_record(
            actor=user_of(request),
            action="admin.view",
            target=target[:100],
            data={name: value for name, value in data.items() if value},
            now=timezone.now(),
        )

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        """Not here: no form of ours looks for rows, and Django's view writes nothing down."""
        raise Http404

    @method_decorator(never_cache)
    @login_not_required
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """To the one log-in page, whose counter of wrong passwords is everybody's.

        Who is logged in and led here has no business at the desk.
        """
        from django.contrib.auth.views import redirect_to_login

        if request.user.is_authenticated and not self.has_permission(request):
            raise PermissionDenied
        wanted = request.GET.get(REDIRECT_FIELD_NAME) or reverse("admin:index")
        return redirect_to_login(wanted, resolve_url("accounts:login"))

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """As on every other page: sockets end too."""
        from accounts.views import logout_page

        return logout_page(request)

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """The settings change passwords, and count wrong ones."""
        return redirect("accounts:password")

    def password_change_done(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        return redirect("accounts:password")

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """What needs a person, as far as this person may see it."""
        from accounts.requests import user_of
        from speedtrade.admin_index import cards_for, latest_acts

        user, now = user_of(request), timezone.now()
        context = {"cards": cards_for(user, now), "latest": latest_acts(user)}
        if context["latest"]:
            self.seen(request, "auditevent:*")
        return super().index(request, {**context, **(extra_context or {})})


def _factor_first(request: HttpRequest) -> HttpResponseBase | None:
    from accounts.sessions import factor_first

    return factor_first(request)


def _views(entries: Iterable[Any]) -> Iterator[Any]:
    """Every view under these addresses."""
    for entry in entries:
        if hasattr(entry, "url_patterns"):
            yield from _views(entry.url_patterns)
        else:
            yield entry.callback
