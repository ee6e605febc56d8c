"""Pages of trading: the ticket from edit to confirmation, orders and one order."""

import json

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.requests import UserRequest
from accounts.selectors import account_for_user
from marketdata.selectors import instrument_get, market_clock
from speedtrade.lib.errors import Conflict, DomainError
from speedtrade.lib.htmx import page, see_other
from speedtrade.lib.ratelimit import RateLimited
from trading import panels
from trading.desks import Desk, desk_get
from trading.forms import TicketForm
from trading.marks import marks_of
from trading.models import Order
from trading.reviews import Review, review_make, review_read
from trading.selectors import order_events, order_for_user, orders_of
from trading.services.orders import order_cancel
from trading.services.reviews import review_confirm
from trading.words import event_moment, order_steps

TABS = {"open": "Open", "closed": "Filled and closed", "all": "All"}


# ── the ticket ───────────────────────────────────────────────────────────────
@require_http_methods(["GET", "HEAD", "POST"])
def ticket(request: UserRequest, symbol: str) -> HttpResponse:
    """The ticket alone: as an address asks for it, or as it was typed with an estimate (POST).

    `share` (25, 50, 75, 100) fills in that part of what is free.
    """
    desk = desk_get(user=request.user, symbol=symbol, now=timezone.now())
    if request.method != "POST":
        return _ticket(request, desk, TicketForm.fresh(desk, request.GET))
    form, share = TicketForm(request.POST), request.POST.get("share", "")
    return _ticket(request, desk, form.filled(desk, share) if share else form)


@require_POST
def estimate(request: UserRequest, symbol: str) -> HttpResponse:
    """What the order on the ticket would come to; never refuses, says why it would be refused."""
    desk = desk_get(user=request.user, symbol=symbol, now=timezone.now())
    context = panels.ticket_context(desk, TicketForm(request.POST))
    return render(request, "trading/partials/_estimate.html", context)


@require_POST
def review(request: UserRequest, symbol: str) -> HttpResponse:
    """POST the ticket: the review with its token, or 422 with the ticket and what to change."""
    desk = desk_get(user=request.user, symbol=symbol, now=timezone.now())
    form = TicketForm(request.POST)
    try:
        reviewed = review_make(desk=desk, intent=form.intent(desk.instrument))
    except DomainError as error:
        return _ticket(request, desk, form.with_refusal(error), status=422)
    return _ticket(request, desk, form, review=reviewed)


@require_POST
def place(request: UserRequest) -> HttpResponseBase:
    """POST the `token` of a review (and `agree`): 303 to the order, or 422 and another look."""
    now = timezone.now()
    asked = review_read(request.POST.get("token", ""), user=request.user)
    desk = desk_get(
        user=request.user, symbol=asked.intent.symbol, now=now, account_id=asked.account_id
    )
    form, agreed = TicketForm.of_intent(asked.intent), request.POST.get("agree") == "on"
    try:
        done = review_confirm(
            desk=desk, asked=asked, agreed=agreed, confirmed_by=request.user, now=now
        )
    except RateLimited:
        raise
    except DomainError as error:
        return _ticket(request, desk, form.with_refusal(error), status=422)
    if isinstance(done, Review):
        return _ticket(request, desk, form, review=done, status=422)
    return see_other(request, "trading:order", done.pk)


def _ticket(
    request: UserRequest,
    desk: Desk,
    form: TicketForm,
    *,
    review: Review | None = None,
    status: int = 200,
) -> HttpResponse:
    context = panels.ticket_context(desk, form, review)
    partial = "trading/partials/_ticket.html"
    return page(request, "trading/ticket.html", context, partial=partial, status=status)


@require_safe
def here(request: UserRequest, symbol: str) -> HttpResponse:
    """Position and open orders in a symbol, for its page to fetch when something has happened."""
    account, instrument = account_for_user(user=request.user), instrument_get(symbol)
    context = panels.here_context(account, instrument, timezone.now())
    return render(request, "trading/partials/_here.html", context)


@require_safe
def marks(request: UserRequest, symbol: str) -> HttpResponse:
    """What the chart draws of one's own: cost, working orders, fills."""
    account, instrument = account_for_user(user=request.user), instrument_get(symbol)
    return JsonResponse(marks_of(account, instrument))


# ── orders ───────────────────────────────────────────────────────────────────
@require_safe
def orders(request: UserRequest) -> HttpResponse:
    """`?status=open|closed|all&page=`: orders, newest first."""
    account = account_for_user(user=request.user)
    tab = request.GET.get("status", "open")
    tab = tab if tab in TABS else "open"
    found = Paginator(orders_of(account, status=tab), settings.PAGE_SIZE)
    context = {
        "tab": tab,
        "tabs": TABS.items(),
        "found": found.get_page(request.GET.get("page")),
        "address": request.get_full_path(),
    }
    return page(request, "trading/orders.html", context, partial="trading/partials/_orders.html")


@require_safe
def order(request: UserRequest, order_id: int) -> HttpResponse:
    """One order from beginning to end. A fragment that was `seen` is 204: nothing to swap."""
    now, found = timezone.now(), order_for_user(user=request.user, order_id=order_id)
    stamp = found.updated_at.isoformat()
    if request.htmx and request.GET.get("seen") == stamp:
        return HttpResponse(status=204)
    context = {
        "order": found,
        "stamp": stamp,
        "steps": order_steps(found),
        "moments": [event_moment(event) for event in order_events(found)],
        "state": market_clock(now)[found.instrument.asset_type],
        "reload": found.is_open and now - found.created_at < settings.PAGE_FRESH,
    }
    return page(request, "trading/order.html", context, partial="trading/partials/_order.html")


@require_POST
def cancel(request: UserRequest, order_id: int) -> HttpResponseBase:
    """Ask to cancel, then back to `next` or to the order; htmx gets the event that refetches it."""
    found = order_for_user(user=request.user, order_id=order_id)
    try:
        done = order_cancel(order=found, actor=request.user, source="page", now=timezone.now())
        level, text = "info", "The order is canceled." if not done.is_open else "Canceling…"
    except Conflict as error:
        level, text = "warning", f"Too late: {error.detail}"
    if request.htmx:
        return _happened(found, level, text)
    messages.add_message(request, messages.WARNING if level == "warning" else messages.INFO, text)
    back = request.POST.get("next", "")
    own = url_has_allowed_host_and_scheme(back, {request.get_host()}, request.is_secure())
    return see_other(request, back) if own else see_other(request, "trading:order", order_id)


def _happened(found: Order, level: str, text: str) -> HttpResponse:
    """Nothing to swap: a toast, and the event on which the page fetches its orders again."""
    events = {"st:toast": {"level": level, "text": text}, "st:order": {"id": found.pk}}
    return HttpResponse(status=204, headers={"HX-Trigger": json.dumps(events)})
