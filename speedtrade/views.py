"""Pages that belong to no app: the landing page, status, problems and errors."""

import hashlib
import json
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponsePermanentRedirect,
)
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import is_valid_path, reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import User
from marketdata import selectors
from marketdata.views import quote_rows, with_sparks
from speedtrade.health import RETRY_AFTER, report_now
from speedtrade.lib.api import problem_response
from speedtrade.lib.errors import CATALOGUE, DomainError
from speedtrade.lib.htmx import THEMES
from speedtrade.lib.problem_words import MEANINGS
from speedtrade.lib.ratelimit import client_address

DEMO = "demo"
LOOPBACK = ("127.0.0.1", "::1")
GLIMPSE_ROWS = 6
KEPT_OFFLINE = (
    "css/app.css",
    "js/guest.js",
    "django_htmx/htmx-2.min.js",
    "vendor/inter/inter-latin.woff2",
    "icons.svg",
    "favicon.svg",
)


@login_not_required
@require_safe
def home(request: HttpRequest) -> HttpResponseBase:
    """The landing page; whoever is logged in goes to the dashboard."""
    if request.user.is_authenticated:
        return redirect("portfolio:dashboard")
    context = {
        "demo": _demo(request),
        "opening_cash": settings.PAPER_OPENING_CASH,
        "rows": _market_glimpse(),
        "origin": request.build_absolute_uri("/").rstrip("/"),
    }
    return render(request, "landing.html", context)


def _demo(request: HttpRequest) -> dict[str, str]:
    """The demo login for one click, only for whoever sits at the machine that made it."""
    if settings.PRODUCTION or not settings.DEMO_PASSWORD:
        return {}
    if client_address(request) not in LOOPBACK or not User.objects.filter(username=DEMO).exists():
        return {}
    return {"username": DEMO, "password": settings.DEMO_PASSWORD}


def _market_glimpse() -> list[dict[str, Any]]:
    """A few symbols with their day, as rows for `components/_quote_row.html`."""
    now = timezone.now()
    found, _ = selectors.instruments_split(settings.WATCHLIST_DEFAULT[:GLIMPSE_ROWS])
    return with_sparks(quote_rows(found, now), now)


@login_not_required
@require_safe
def problem_page(request: HttpRequest, slug: str) -> HttpResponse:
    """What a problem's `type` links to: what it means and what to do."""
    code = slug.replace("-", "_")
    if code not in CATALOGUE:
        raise Http404
    context = {"code": code, "problem": CATALOGUE[code], "meaning": MEANINGS[code]}
    return render(request, "problem.html", context)


@login_not_required
@require_safe
def problems_page(request: HttpRequest) -> HttpResponse:
    """The whole catalogue, by title."""
    rows = sorted(CATALOGUE.items(), key=lambda row: row[1].title.lower())
    problems = [(code, code.replace("_", "-"), problem) for code, problem in rows]
    return render(request, "problems.html", {"problems": problems})


@login_not_required
@require_safe
def offline(request: HttpRequest) -> HttpResponse:
    """What a browser keeps for when it reaches nobody: the same for all, nothing of anybody."""
    context = {"theme": "system", "path": "/offline", "unmarked": True}  # real money may be theirs
    return HttpResponse(render_to_string("offline.html", context))


#: dependency -> (its name, what stands still without it)
STATUS_PARTS = {
    "database": ("Orders and money", "Where every order, fill and cent is kept."),
    "redis": ("Live connection", "Carries prices and news to the pages."),
    "worker": ("Order desk", "Sends orders to the broker and checks the books."),
    "feed": ("Prices", "Brings what each symbol costs now."),
}
STATUS_WORDS = {
    "ok": ("gain", "Everything works."),
    "starting": ("warn", "SpeedTrade is starting. Orders are taken and sent in a moment."),
    "degraded": ("warn", "Some parts are slow or away. Orders and cancels are still taken."),
    "down": ("loss", "SpeedTrade cannot serve orders at the moment. What is stored is safe."),
}


BOOKS_DIFFER = ("loss", "The books do not add up. Whoever runs this house looks into it.")


def _books(ledger: str) -> dict[str, Any]:
    """What the last check of the ledger found; before the first one nothing is wrong."""
    return {
        "title": "Books",
        "about": "Every cent is reckoned anew from zero, again and again.",
        "ok": None if ledger == "not checked yet" else ledger == "ok",
        "words": "Add up" if ledger == "ok" else ledger.capitalize(),
    }


@login_not_required
@never_cache
@require_safe
def status_page(request: HttpRequest) -> HttpResponse:
    """`/health` in words; 503 while the database is away, which then is not asked who looks."""
    report = report_now()
    word = report.details.get("ledger", "unknown")
    tone, headline = BOOKS_DIFFER if word == "differs" else STATUS_WORDS[report.status]
    parts = [
        {
            "title": title,
            "about": about,
            "ok": report.checks[name] == "ok",
            "words": "Works" if report.checks[name] == "ok" else report.checks[name].capitalize(),
        }
        for name, (title, about) in STATUS_PARTS.items()
    ]
    parts.append(_books(word))
    context: dict[str, Any] = {"tone": tone, "headline": headline, "parts": parts}
    if report.serves:
        return render(request, "status.html", context)
    theme = request.COOKIES.get("theme", "")
    context |= {
        "theme": theme if theme in THEMES else "system",
        "path": request.path,
        "unmarked": True,
    }
    text = render_to_string("status.html", context)
    return HttpResponse(text, status=503, headers={"Retry-After": str(RETRY_AFTER)})


@login_not_required
@require_safe
def licences(request: HttpRequest) -> HttpResponse:
    """What others made and gave, and on what terms."""
    return render(request, "licences.html")


@login_not_required
@require_safe
def service_worker(request: HttpRequest) -> HttpResponse:
    """`static/js/sw.js` at the root, where it may serve every page, with what it keeps."""
    keep = [reverse("offline"), *(static(name) for name in KEPT_OFFLINE)]
    source = (settings.BASE_DIR / "static" / "js" / "sw.js").read_text("utf-8")
    version = hashlib.sha256(f"{keep}{source}".encode()).hexdigest()[:12]
    head = f"const KEEP = {json.dumps(keep)};\nconst VERSION = {json.dumps(version)};\n"
    response = HttpResponse(head + source, content_type="text/javascript; charset=utf-8")
    response.headers["Cache-Control"] = "no-cache, no-store"
    return response


def _error(request: HttpRequest, code: str, status: int, template: str) -> HttpResponseBase:
    if request.path_info.startswith("/api/"):
        return problem_response(
            request, DomainError(CATALOGUE[code].remedy, code=code, status=status)
        )
    context = {"problem": CATALOGUE[code], "request_id": _request_id(request)}
    return render(request, template, context, status=status)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    return _error(request, "invalid", 400, "400.html")


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    return _error(request, "permission_denied", 403, "403.html")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    return _error(request, "csrf_failed", 403, "403.html")


def page_not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    # Pages have no trailing slash; who types one means the page without it.
    bare = request.path_info.rstrip("/")
    asked = request.method in ("GET", "HEAD") and not is_valid_path(request.path_info)
    if asked and bare != request.path_info and is_valid_path(bare):
        query = request.META.get("QUERY_STRING", "")
        return HttpResponsePermanentRedirect(f"{bare}?{query}" if query else bare)
    return _error(request, "not_found", 404, "404.html")


def server_error(request: HttpRequest) -> HttpResponseBase:
    """The last page that must still work: no context processor, no query, no user."""
    if request.path_info.startswith("/api/"):
        return _error(request, "server_error", 500, "500.html")
    return HttpResponse(
        render_to_string("500.html", {"request_id": _request_id(request)}), status=500
    )


def _request_id(request: HttpRequest) -> str:
    return str(request.META.get("HTTP_X_REQUEST_ID", ""))
