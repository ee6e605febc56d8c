"""Pages of the portfolio: dashboard, holdings, activity, paper cash."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import BrokerageAccount
from accounts.requests import UserRequest
from accounts.selectors import account_for_user
from marketdata.selectors import market_clock, movers, watchlist_instruments
from marketdata.views import quote_rows, with_sparks
from portfolio.forms import TransferForm
from portfolio.models import EntryKind
from portfolio.panels import dashboard_context
from portfolio.presenters import history_payload
from portfolio.selectors import activity_of, equity_curve, summary_get
from portfolio.services.transfers import transfer_make
from portfolio.statements import (
    allocation,
    holdings_of,
    lots_of,
    realized_of,
)
from speedtrade.lib.errors import DomainError
from speedtrade.lib.formats import change_text, money_text
from speedtrade.lib.htmx import page, see_other

RECENT = 5  # facts on the dashboard
MOVERS = 4  # of each direction
SPARKS = 8  # symbols of the watchlist that get a line of their day
CASH_KINDS = [EntryKind.DEPOSIT, EntryKind.WITHDRAWAL]
CASH_RECENT = 10


@require_safe
def dashboard(request: UserRequest) -> HttpResponse:
    """What it is worth, what you hold, what is under way, what moves."""
    now, account = timezone.now(), account_for_user(user=request.user)
    context = _mine(account, now)
    if not request.htmx:
        context |= _market(request, now)
    return page(
        request, "portfolio/dashboard.html", context, partial="portfolio/partials/_mine.html"
    )


def _mine(account: BrokerageAccount, now: datetime) -> dict[str, Any]:
    """What orders and fills change: fetched anew when one does."""
    summary = summary_get(account=account, now=now)
    return {
        "account": account,
        "summary": summary,
        "day_words": f"{change_text(summary.day_pl, summary.day_pl_pct)} today",
        "holdings": holdings_of(summary),
        "entries": activity_of(account)[:RECENT],
        **dashboard_context(account, now),
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
        "states": market_clock(now),
    }


@require_safe
def history(request: UserRequest) -> HttpResponse:
    """`?period=1D|1W|1M|3M|1Y|ALL`: the equity curve for the chart, in the shape of the API."""
    now, account = timezone.now(), account_for_user(user=request.user)
    period = request.GET.get("period", "1D")
    summary = summary_get(account=account, now=now)
    points = equity_curve(account=account, period=period, now=now, equity_now=summary)
    return JsonResponse(history_payload(account.pk, period, points))


@require_safe
def portfolio(request: UserRequest) -> HttpResponse:
    """What you own: figures, allocation, each holding with its lots."""
    now, account = timezone.now(), account_for_user(user=request.user)
    summary, lots = summary_get(account=account, now=now), lots_of(account)
    slices = allocation(summary)
    context = {
        "account": account,
        "summary": summary,
        "realized": realized_of(account),
        "slices": slices,
        "shares": [part.share for part in slices],
        "holdings": holdings_of(summary, lots),
        "lots_shown": settings.LOTS_SHOWN,
    }
    return page(
        request, "portfolio/portfolio.html", context, partial="portfolio/partials/_holdings.html"
    )


@require_http_methods(["GET", "HEAD", "POST"])
def transfers(request: UserRequest) -> HttpResponseBase:
    """POST `direction`, `amount`, `key`: paper cash in or out, once; 422 with the form if not."""
    account, posted = account_for_user(user=request.user), request.method == "POST"
    form = TransferForm(request.POST) if posted else TransferForm.fresh(request.GET)
    if posted and form.is_valid():
        try:
            made, _ = transfer_make(
                account=account, requested_by=request.user, now=timezone.now(), **form.cleaned_data
            )
        except DomainError as error:
            form.with_refusal(error)
        else:
            messages.success(request, f"{made.get_direction_display()}: {money_text(made.amount)}")
            return see_other(request, "portfolio:transfers")
    return _transfers(request, account, form, status=422 if posted else 200)


def _transfers(
    request: UserRequest, account: BrokerageAccount, form: TransferForm, status: int
) -> HttpResponse:
    context = {
        "account": account,
        "form": form,
        "summary": summary_get(account=account, now=timezone.now()),
        "entries": activity_of(account).filter(kind__in=CASH_KINDS)[:CASH_RECENT],
        "most": settings.TRANSFER_MAX,
    }
    return page(request, "portfolio/transfers.html", context, status=status)
