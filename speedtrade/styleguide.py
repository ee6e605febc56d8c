"""`/styleguide`: every component in every state, for those who build pages. Staff only.

All of it is made up here: nothing of anybody.
"""

from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, get_args

from django import forms
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.models import BrokerageAccount
from accounts.models.users import Palette
from accounts.requests import user_of
from marketdata.domain.calendar import Phase
from marketdata.domain.ranges import RANGES, TODAY
from marketdata.selectors import MarketState, instruments_listed
from marketdata.sorting import SortLink
from portfolio.performance import PERIOD_WORDS
from speedtrade.lib.columns import HOLDINGS
from speedtrade.lib.curls import Line
from speedtrade.lib.htmx import THEMES
from speedtrade.templatetags.ui import ORDER_STATUS

D = Decimal
NOON = datetime(2026, 1, 5, 17, 0, tzinfo=UTC)
#: what numbers must survive: tiny, large, long, negative, nothing and not there
NUMBERS = (
    D("184.32"),
    D("0.00001234"),
    D("712345.67"),
    D("1000000.123456789"),
    D("-42.5"),
    D(0),
    None,
)
UP = [D(n) for n in (10, 11, 10, 12, 13, 12, 15)]
BUTTONS = ("", "primary", "buy", "sell", "ghost", "danger")
PILLS = ("", "gain", "loss", "warn", "info")
BANNERS = (("", "info"), ("gain", "ok"), ("warn", "warn"), ("loss", "bad"))
TOASTS = (("info", "info"), ("success", "ok"), ("warning", "warn"), ("error", "error"))
LISTS = [SimpleNamespace(pk=n, name=f"List {n}", watched=n == 1) for n in (1, 2)]
ACCOUNTS = [
    BrokerageAccount(pk=1, label="Paper account"),
    BrokerageAccount(pk=2, label="Alpaca paper", broker="alpaca", status="connecting"),
    BrokerageAccount(pk=3, label="Kraken", broker="ccxt", exchange="kraken", mode="live"),
]
#: Shut in each way: an account's own words stand in its banner.
SHUT = [
    BrokerageAccount(pk=4, status="connecting"),
    BrokerageAccount(pk=5, status="error", status_reason="Alpaca refuses the key."),
    BrokerageAccount(pk=6, status="disconnected"),
    BrokerageAccount(pk=7, status="frozen", status_reason="A document is missing."),
    BrokerageAccount(pk=8, stopped_at=NOON),
]
DAY = [MarketState(one == "open", one, NOON, NOON, NOON, NOON) for one in get_args(Phase)]
HALTED = SimpleNamespace(symbol="SMPL", halt_reason="News is pending.")
SHARES = [D(48), D(27), D(15), D(10)]


class Sample(forms.Form):
    """A field in each state."""

    plain = forms.CharField(label="Plain")
    helped = forms.CharField(label="With help", help_text="Whole shares or parts of one.")
    wrong = forms.CharField(label="With an error", max_length=2)
    closed = forms.CharField(label="Disabled", disabled=True, initial="Cannot be changed")
    choice = forms.ChoiceField(label="Choice", choices=[("day", "Day"), ("gtc", "GTC")])
    box = forms.BooleanField(label="A box to tick", required=False)
    note = forms.CharField(label="Long text", required=False, widget=forms.Textarea({"rows": 2}))


@require_safe
def styleguide(request: HttpRequest) -> HttpResponse:
    """`?theme=system|light|dark`, `?palette=cb|red-up`; 404 for everybody but staff."""
    user = user_of(request)
    if not user.is_staff:
        raise Http404
    theme, palette = request.GET.get("theme", "system"), request.GET.get("palette", "")
    user.palette = palette if palette in Palette.values else ""  # of this page; it is not saved
    rows = [
        _row("SMPL", "Sample Inc.", "184.32"),
        _row("OLD", "Price is stale", "97.5", stale=True),
        _row("CLSD", "Closed for the day", "42", stale=True) | {"closed_at": NOON},
        _row("NEW/USD", "No price yet", None, stale=True),
    ]
    context = {
        "theme": theme if theme in THEMES else "system",
        "palette": user.palette,
        "themes": THEMES,
        "palettes": Palette.choices,
        "buttons": BUTTONS,
        "pills": PILLS,
        "statuses": ORDER_STATUS,
        "banners": BANNERS,
        "toasts": TOASTS,
        "numbers": NUMBERS,
        "changes": [(n, n) for n in NUMBERS],
        "spark_up": UP,
        "spark_down": UP[::-1],
        "shares": SHARES,
        "noon": NOON,
        "form": _form(),
        "links": [SortLink(""), SortLink("", "down", True)],
        "lists": LISTS,
        "column_choices": HOLDINGS.choices({}),
        "account_samples": ACCOUNTS,
        "shut_accounts": SHUT,
        "markets": DAY,
        "halted": HALTED,
        "gift": D(100_000),
        "charted": instruments_listed().first() or rows[0]["instrument"],
        "ranges": RANGES.items(),
        "range": TODAY,
        "periods": PERIOD_WORDS,
        "period": "1D",
        "calls": [Line("This order", "curl …/api/v1/orders/1")],
        "pages": Paginator(range(30), 10).page(2),
        "rows": rows,
    }
    return render(request, "styleguide.html", context)


def _form() -> Sample:
    """Bound, so that one field shows its error; the others are right."""
    data = {"plain": "AAPL", "helped": "1.5", "wrong": "too long", "choice": "day"}
    return Sample(data, auto_id="sample_%s")


def _row(symbol: str, name: str, last: str | None, *, stale: bool = False) -> dict[str, Any]:
    """What `components/_quote_row.html` takes; without a price it shows that there is none."""
    instrument = SimpleNamespace(symbol=symbol, name=name, price_tick=D("0.01"), asset_type="stock")
    quote = SimpleNamespace(last=D(last), change_pct=D("1.17"), as_of=NOON) if last else None
    spark = UP if last else []
    return {"instrument": instrument, "quote": quote, "stale": stale, "spark": spark}
