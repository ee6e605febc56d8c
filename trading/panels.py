"""What trading adds to pages of the apps below it: the ticket, your position, your open orders."""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse

from accounts.models import BrokerageAccount
from accounts.requests import CHOSEN, account_shown, user_of
from marketdata.domain.symbols import symbol_slug
from marketdata.models import Instrument
from portfolio.selectors import summary_get
from speedtrade.lib.errors import InvalidInput
from trading.cautions import age_short, age_words, cautions, closed_words, whole_shares
from trading.desks import Desk, Verdict, desk_of, judge
from trading.domain.orders import Side
from trading.forms import SHARES, SIDES, TYPES, TicketForm
from trading.marks import marks_of
from trading.models import Order
from trading.reviews import Review, hold_beyond
from trading.selectors.orders import orders_of
from trading.words import TIF_WORDS, TYPE_WORDS, intent_sentence, unit_words

ORDERS_HERE = 20  # open orders shown beside a chart; the rest is on the page of orders
ORDERS_ON_DASHBOARD = 3


def symbol_panel(request: HttpRequest, instrument: Instrument, now: datetime) -> dict[str, Any]:
    """The ticket in the right column, position and open orders under the chart."""
    user = user_of(request)
    account = account_shown(request)
    desk = desk_of(account=account, instrument=instrument, now=now)
    marks_url = reverse("trading:marks", args=[symbol_slug(instrument.symbol)])
    return {
        "side_template": "trading/partials/_ticket.html",
        "dock_template": "trading/partials/_dock.html",
        "main_templates": ["trading/partials/_here.html"],
        "marks": marks_of(account, instrument),
        "marks_url": f"{marks_url}?{CHOSEN}={account.pk}",
        **ticket_context(desk, TicketForm.fresh(desk, request.GET, user)),
        **here_context(account, instrument, now),
    }


def ticket_context(desk: Desk, form: TicketForm, review: Review | None = None) -> dict[str, Any]:
    """All that the ticket shows, being edited or being reviewed."""
    return {
        "desk": desk,
        "shown": desk.account,  # the frame of the page is that of the account which would pay
        "instrument": desk.instrument,
        "quote": desk.quote,
        "closed_at": desk.state.close_of(desk.quote),
        "form": form,
        "link": urlencode(form.link()),
        "unit": unit_words(desk.instrument),
        "sides": SIDES,
        "types": [(code, label, TYPE_WORDS[code][1]) for code, label in TYPES],
        "tifs": [(code, label, text) for code, (label, text) in TIF_WORDS.items()],
        "shares": list(SHARES),
        "closed": closed_words(desk.state, desk.now) if desk.waits else "",
        "price_age": age_words(desk.quote.as_of, desk.now) if desk.quote else "",
        "price_age_short": age_short(desk.quote.as_of, desk.now) if desk.quote else "",
        "side_price": desk.price_for(Side.SELL if form.text("side") == "sell" else Side.BUY),
        "side_field": "bid" if form.text("side") == "sell" else "ask",
        **(review_context(desk, review) if review else estimate_context(desk, form)),
    }


def estimate_context(desk: Desk, form: TicketForm) -> dict[str, Any]:
    """What the ticket's order would come to: `verdict`, or `unclear` where it makes no sense."""
    if not form.text("amount").strip():
        return {"verdict": None, "unclear": ""}
    try:
        intent = form.intent(desk.instrument)
    except InvalidInput as error:
        return {"verdict": None, "unclear": " ".join(one.detail for one in error.errors)}
    verdict = judge(desk, intent)
    return {
        "verdict": verdict,
        "intent": intent,
        "unclear": "",
        "cautions": cautions(desk, intent, verdict),
        "whole": whole_shares(desk, intent, verdict),
    }


def review_context(desk: Desk, review: Review) -> dict[str, Any]:
    """The review in words."""
    verdict = Verdict(review.terms, None, review.estimate, review.buying_power_after)
    return {
        "review": review,
        "sentence": intent_sentence(review.intent, review.estimate, desk.instrument),
        "room": hold_beyond(review),
        "closed": closed_words(desk.state, desk.now, "The order") if desk.waits else "",
        "cautions": [
            text
            for text in cautions(desk, review.intent, verdict)
            if text not in {question.text for question in review.questions}
        ],
        "whole": whole_shares(desk, review.intent, verdict),
        "moved_pct": abs(review.price - review.old_price) * 100 / review.old_price
        if review.old_price
        else None,
    }


def here_context(
    account: BrokerageAccount, instrument: Instrument, now: datetime
) -> dict[str, Any]:
    """The position and the open orders in one symbol."""
    summary = summary_get(account=account, now=now)
    mine = [row for row in summary.positions if row.held.symbol == instrument.symbol]
    orders = orders_of(account, status="open", symbol=instrument.symbol)
    return {
        "instrument": instrument,
        "position": mine[0] if mine else None,
        "orders": orders[:ORDERS_HERE],
    }


def dashboard_panel(account: BrokerageAccount, now: datetime) -> dict[str, Any]:
    """The newest open orders, and how many there are."""
    orders = orders_of(account, status="open")
    return {
        "orders_template": "trading/partials/_open_orders.html",
        "orders": orders[:ORDERS_ON_DASHBOARD],
        "open_count": orders.count(),
    }


def has_ordered(account: BrokerageAccount) -> bool:
    """Whether an order was ever placed in the account."""
    return Order.objects.filter(brokerage_account=account).exists()
