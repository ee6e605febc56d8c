"""HTMX manners in one place: which template a request gets, and what every page knows."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

THEMES = ("system", "light", "dark")  # a cookie is the client's word
PALETTES = ("", "cb", "red-up")


class HtmxHttpRequest(HttpRequest):
    """A request that went through HtmxMiddleware."""

    htmx: HtmxDetails


def page(
    request: HttpRequest,
    template: str,
    context: dict[str, Any] | None = None,
    *,
    partial: str = "",
    status: int = 200,
) -> HttpResponse:
    """Render `partial` for an htmx request, else the whole page; caches keep the two apart."""
    htmx: HtmxDetails | None = getattr(request, "htmx", None)
    chosen = partial if partial and htmx and not htmx.boosted else template
    response = render(request, chosen, context or {}, status=status)
    response.headers["Vary"] = "HX-Request, Cookie"
    return response


class SeeOther(HttpResponseRedirect):
    """After a POST: look there, with GET. Reloading that page repeats nothing."""

    status_code = 303


def see_other(request: HttpRequest, to: Any, *args: Any) -> HttpResponseBase:
    """Where a form leads when it was accepted: 303, or the whole page for a form that htmx sent."""
    htmx: HtmxDetails | None = getattr(request, "htmx", None)
    url = resolve_url(to, *args)
    return HttpResponseClientRedirect(url) if htmx else SeeOther(url)


def page_context(request: HttpRequest) -> dict[str, Any]:
    """What the shell of each page shows. No query of its own."""
    user = getattr(request, "user", None)
    theme = getattr(user, "theme", "") or request.COOKIES.get("theme", "")
    palette = getattr(user, "palette", None)  # "" is a choice; nobody who is logged out has one
    palette = request.COOKIES.get("palette", "") if palette is None else palette
    return {
        "theme": theme if theme in THEMES else "system",
        "palette": palette if palette in PALETTES else "",
        "simulated": settings.MARKET_DATA_FEEDS == ["simulated"],
        # Where a form may lead back to. Many an address that takes a form has no page to show.
        "path": request.path if request.method in ("GET", "HEAD") else "",
    }
