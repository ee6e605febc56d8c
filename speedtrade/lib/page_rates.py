"""How often one user may ask for the pages that cost most, as the API's rates are for calls.

Only these are counted: a count is a question to Redis, and most pages cost little more than one.
Files have a lower rate than pages, the file of all data the lowest. To stop an account is never
counted; to let it go on is, for each writes to the audit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from speedtrade.lib.middleware import page_refused
from speedtrade.lib.ratelimit import RateLimited, rate_take


@dataclass(frozen=True, slots=True)
class PageRate:
    """What counts as one, by which setting, and the words beyond it."""

    name: str
    setting: str
    words: str


_PAGES = PageRate("pages", "RATE_PAGES_PER_USER", "You asked for very many pages. Wait a moment.")
_FILES = PageRate("files", "RATE_FILES_PER_USER", "You fetched many files. Try again later.")
_DATA = PageRate("data", "RATE_DATA_PER_USER", "You fetched all your data often. Try again later.")
_RESUME = PageRate(
    "resume", "RATE_RESUME_PER_USER", "You let accounts go on very often. Try again later."
)

#: By the name of the route.
RATES: Final = {
    "accounts:export": _DATA,
    "accounts:broker_resume": _RESUME,
    **dict.fromkeys(
        (
            "marketdata:watchlist_export",
            "portfolio:activity_export",
            "portfolio:export",
            "portfolio:statement_export",
            "portfolio:taxes_export",
        ),
        _FILES,
    ),
    **dict.fromkeys(
        (
            "marketdata:search",
            "marketdata:watchlist_find",
            "portfolio:activity",
            "portfolio:history",
            "portfolio:history_table",
            "portfolio:portfolio",
            "portfolio:statement",
            "portfolio:statements",
            "portfolio:tax_year",
            "portfolio:taxes",
            "trading:estimate",
            "trading:order_review",
        ),
        _PAGES,
    ),
}


class PageRatesMiddleware:
    """Refuses, with the page of the error, what is beyond its rate. After who somebody is."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponseBase], *args: Any
    ) -> HttpResponseBase | None:
        """429, or None where the view may answer."""
        match = request.resolver_match
        rate = RATES.get(match.view_name) if match else None
        if rate is None or not request.user.is_authenticated:
            return None
        who = f"user:{request.user.pk}"
        try:
            rate_take(
                name=rate.name, who=who, rate=getattr(settings, rate.setting), detail=rate.words
            )
        except RateLimited as error:
            return page_refused(request, error)
        return None
