"""Pages of what a user owns: the dashboard, the portfolio, lots, the curve as a table, a file."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts.models import BrokerageAccount
from accounts.requests import CHOSEN, UserRequest, account_shown
from marketdata.selectors import market_clock, movers, watchlist_instruments
from marketdata.views import quote_rows, with_sparks
from portfolio.domain.pnl import EquityPoint
from portfolio.forms import TransferForm
from portfolio.holdings import (
    SORTS,
    asset_type_known,
    holdings_csv,
    holdings_shown,
    lots_held,
    lots_open,
    positions_sorted,
)
from portfolio.panels import dashboard_context
from portfolio.performance import PERIOD_WORDS, curve_words, performance_of, risk_of
from portfolio.presenters import history_payload
from portfolio.selectors import (
    PERIODS,
    activity_of,
    equity_curve,
    position_for_user,
    summary_get,
)
from portfolio.services.welcome import welcome_dismiss
from portfolio.statement_files import file_name
from portfolio.statements import allocation, realized_of
from portfolio.welcome import welcome_steps
from speedtrade.lib.columns import HOLDINGS
from speedtrade.lib.htmx import page, see_other

RECENT = 5  # facts on the dashboard
MOVERS = 4  # of each direction
SPARKS = 8  # symbols of the watchlist that get a line of their day
PERIOD_SHOWN = "1M"  # what the portfolio page shows unless asked for another period


def _period(request: UserRequest, otherwise: str) -> str:
    """The period that a page was asked for; what is none is forgiven here, and not in the API."""
    asked = request.GET.get("period", otherwise)
    return asked if asked in PERIODS else otherwise


# ── the dashboard ────────────────────────────────────────────────────────────
@require_safe
def dashboard(request: UserRequest) -> HttpResponse:
    """`?period=`: what it is worth, what you hold, what is under way, what moves."""
    now, account = timezone.now(), account_shown(request)
    context = _mine(account, now)
    if not request.htmx:
        context |= _curve(request, account, context["summary"], now) | _market(request, now)
        context["steps"] = welcome_steps(request.user, account)
    return page(
        request, "portfolio/dashboard.html", context, partial="portfolio/partials/_mine.html"
    )


def _mine(account: BrokerageAccount, now: datetime) -> dict[str, Any]:
    """What orders and fills change: fetched anew when one does."""
    summary = summary_get(account=account, now=now)
    rows = positions_sorted(summary)[: settings.POSITIONS_SHOWN]
    return {
        "account": account,
        "summary": summary,
        "holdings": holdings_shown(rows, now, sparks=True),
        "entries": activity_of(account).prefetch_related(None)[:RECENT],  # no postings here
        **dashboard_context(account, now),
    }


def _curve(
    request: UserRequest, account: BrokerageAccount, summary: Any, now: datetime
) -> dict[str, Any]:
    """The chart's frame and the change beside the hero; today's follows the market."""
    period = _period(request, "1D")
    points = equity_curve(account=account, period=period, now=now, equity_now=summary)
    return {
        "period": period,
        "periods": PERIOD_WORDS,
        "performance": performance_of(points, period, now),
        "curve_words": curve_words(points, period),
        "curve_query": f"?{CHOSEN}={account.pk}",
        "nothing": account.is_paper and not summary.positions and summary.portfolio_value == 0,
        "gift": settings.PAPER_OPENING_CASH,
        "gift_key": TransferForm().next_key,
    }


def _market(request: UserRequest, now: datetime) -> dict[str, Any]:
    """What the market does: the watchlist, and what moved most."""
    watched = quote_rows(watchlist_instruments(request.user), now)
    with_sparks(watched[:SPARKS], now)
    ups, downs = movers("gainers", now, MOVERS), movers("losers", now, MOVERS)
    return {
        "watched": watched,
        "gainers": quote_rows([row.instrument for row in ups if row.quote.change > 0], now),
        "losers": quote_rows([row.instrument for row in downs if row.quote.change < 0], now),
        "stocks": market_clock(now)["stock"],
    }


@require_POST
def welcome(request: UserRequest) -> HttpResponseBase:
    """POST: the first steps are put away for good; again is harmless."""
    welcome_dismiss(user=request.user, now=timezone.now())
    return see_other(request, "portfolio:dashboard")


# ── the curve ────────────────────────────────────────────────────────────────
def _history(
    request: UserRequest, period: str, now: datetime
) -> tuple[BrokerageAccount, list[EquityPoint]]:
    account = account_shown(request)
    summary = summary_get(account=account, now=now)
    return account, equity_curve(account=account, period=period, now=now, equity_now=summary)


@require_safe
def history(request: UserRequest) -> HttpResponse:
    """`?period=`: the curve for the chart, in the shape of the API and with a sentence."""
    period = request.GET.get("period", "1D")
    account, points = _history(request, period, timezone.now())
    told = history_payload(account.pk, period, points)
    return JsonResponse(told | {"summary": curve_words(points, period)})


@require_safe
def history_table(request: UserRequest) -> HttpResponse:
    """`?period=`: the curve as a table, newest first."""
    period = _period(request, "1D")
    _, points = _history(request, period, timezone.now())
    context = {
        "period": period,
        "periods": PERIOD_WORDS,
        "points": points[::-1],
        "curve_words": curve_words(points, period),
    }
    return page(
        request, "portfolio/history.html", context, partial="portfolio/partials/_history.html"
    )


# ── the portfolio ────────────────────────────────────────────────────────────
@require_safe
def portfolio(request: UserRequest) -> HttpResponse:
    """`?sort=&type=&page=&period=&benchmark=`: figures, return, risk, allocation, holdings."""
    now, account = timezone.now(), account_shown(request)
    summary = summary_get(account=account, now=now)
    slices = allocation(summary)
    context = {
        "account": account,
        "summary": summary,
        "realized": realized_of(account),
        "slices": slices,
        "shares": [part.share for part in slices],
        "colours": [part.colour for part in slices],
        "risk": risk_of(account=account, summary=summary, now=now),
        **_performance(request, account, summary, now),
        **_holdings(request, summary, now),
    }
    return page(
        request, "portfolio/portfolio.html", context, partial="portfolio/partials/_holdings.html"
    )


def _performance(
    request: UserRequest, account: BrokerageAccount, summary: Any, now: datetime
) -> dict[str, Any]:
    period, name = _period(request, PERIOD_SHOWN), settings.BENCHMARK
    beside = name if request.GET.get("benchmark", "").upper() == name else ""
    points = equity_curve(account=account, period=period, now=now, equity_now=summary)
    return {
        "period": period,
        "periods": PERIOD_WORDS,
        "benchmark": name,
        "beside": beside,
        "performance": performance_of(points, period, now, beside),
    }


def _holdings(request: UserRequest, summary: Any, now: datetime) -> dict[str, Any]:
    sort, kind = request.GET.get("sort", ""), asset_type_known(request.GET.get("type", ""))
    sort = sort if sort in SORTS else "value"
    rows = positions_sorted(summary, sort, kind)
    found = Paginator(rows, settings.HOLDINGS_SHOWN).get_page(request.GET.get("page"))
    return {
        "sort": sort,
        "kind": kind,
        "found": found,
        "here": request.get_full_path(),
        "columns": HOLDINGS.shown_to(request.user.columns),
        "column_choices": HOLDINGS.choices(request.user.columns),
        "holdings": holdings_shown(found.object_list, now),
    }


@require_safe
def lots(request: UserRequest, position_id: int) -> HttpResponse:
    """`?page=`: the open lots of one of the user's positions, in the order they are sold in."""
    position = position_for_user(user=request.user, position_id=position_id)
    found = Paginator(lots_open(position), settings.LOTS_SHOWN).get_page(request.GET.get("page"))
    context = {
        "position": position,
        "shown": position.brokerage_account,
        "instrument": position.instrument,
        "found": found,
        "lots": lots_held(found.object_list, timezone.now()),
    }
    return page(request, "portfolio/lots.html", context, partial="portfolio/partials/_lots.html")


@require_safe
def export(request: UserRequest) -> HttpResponse:
    """The holdings as a CSV file."""
    now, account = timezone.now(), account_shown(request)
    text = holdings_csv(summary_get(account=account, now=now))
    response = HttpResponse(text, content_type="text/csv; charset=utf-8")
    name = file_name(account, f"holdings-{now:%Y-%m-%d}")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
