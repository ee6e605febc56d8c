"""Pages of orders: the list, one order, changing it, canceling it, canceling all."""

import json

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.requests import UserRequest, account_shown
from accounts.sessions import live_session_check
from marketdata import quote_store
from speedtrade.lib.errors import Conflict, DomainError
from speedtrade.lib.htmx import page, see_other
from speedtrade.lib.ratelimit import RateLimited, limit_orders
from speedtrade.lib.requests import own_address
from trading.models import Order
from trading.order_forms import CANCEL_WORD, ReplaceForm
from trading.order_pages import events_context, order_context, orders_context
from trading.outcomes import cancel_all_words, too_late
from trading.reviews import Proof, change_is_large
from trading.selectors.orders import cancelable_counts, order_for_user
from trading.services.cancels import orders_cancel_all
from trading.services.orders import order_cancel
from trading.services.replacements import order_replace


@require_safe
def orders(request: UserRequest) -> HttpResponse:
    """`?status=open|filled|closed|all&symbol=&after=`: orders, newest first, a page at a time."""
    account = account_shown(request)
    context = {**orders_context(account, request.GET), "address": request.get_full_path()}
    return page(request, "trading/orders.html", context, partial="trading/partials/_orders.html")


@require_safe
def order(request: UserRequest, order_id: int) -> HttpResponse:
    """One order from beginning to end. A fragment that was `seen` is 204: nothing to swap."""
    found = order_for_user(user=request.user, order_id=order_id)
    context = order_context(found, request.build_absolute_uri("/"), timezone.now())
    if request.htmx and request.GET.get("seen") == context["stamp"]:
        return HttpResponse(status=204)
    return page(request, "trading/order.html", context, partial="trading/partials/_order.html")


@require_safe
def events(request: UserRequest, order_id: int) -> HttpResponse:
    """The raw steps of an order: old state, new state, source, reason, time."""
    context = events_context(order_for_user(user=request.user, order_id=order_id))
    partial = "trading/partials/_events.html"
    return page(request, "trading/events.html", context, partial=partial)


@require_POST
def replace(request: UserRequest, order_id: int) -> HttpResponseBase:
    """POST `qty`, `limit_price`, `time_in_force`, `key`: 303 to the successor, or 422: why not.

    `confirmed=hold` or the symbol as `word` confirms a large one.
    """
    found, form = order_for_user(user=request.user, order_id=order_id), ReplaceForm(request.POST)
    symbol = found.instrument.symbol
    try:
        live_session_check(request, found.brokerage_account)
        limit_orders(request.user.pk)
        changes, quote = form.changes(found), quote_store.quote_get(symbol)
        large = change_is_large(found, changes, quote, request.user)
        if large and not Proof.of(request.POST).holds(symbol):
            return _unchanged(request, found, form.asking())
        new = order_replace(
            order=found,
            changes=changes,
            quote=quote,
            actor=request.user,
            source="page",
            key=form.key,
            now=timezone.now(),
        )
    except RateLimited:
        raise
    except DomainError as error:
        return _unchanged(request, found, form.with_refusal(error))
    return see_other(request, "trading:order", new.pk)


def _unchanged(request: UserRequest, found: Order, form: ReplaceForm) -> HttpResponse:
    """The order as it is, with what was typed and why it was not done."""
    context = order_context(found, request.build_absolute_uri("/"), timezone.now(), form)
    partial = "trading/partials/_replace.html"
    return page(request, "trading/order.html", context, partial=partial, status=422)


@require_POST
def cancel(request: UserRequest, order_id: int) -> HttpResponseBase:
    """Ask to cancel, then back to `next` or to the order; htmx gets the event that refetches it."""
    found = order_for_user(user=request.user, order_id=order_id)
    try:
        found = order_cancel(order=found, actor=request.user, source="page", now=timezone.now())
        level, text = "info", "The order is canceled." if not found.is_open else "Canceling…"
    except Conflict as error:
        found.refresh_from_db()
        level, text = "warning", too_late(found, error.detail)
    if request.htmx:
        return _happened(found, level, text)
    messages.add_message(request, messages.WARNING if level == "warning" else messages.INFO, text)
    back = request.POST.get("next", "")
    own = own_address(request, back)
    return see_other(request, back) if own else see_other(request, "trading:order", order_id)


def _happened(found: Order, level: str, text: str) -> HttpResponse:
    """Nothing to swap: a toast, and the event on which the page fetches its orders again."""
    events = {
        "st:toast": {"level": level, "text": text},
        "st:order": {"id": found.pk, "answered": not found.is_open},
    }
    return HttpResponse(status=204, headers={"HX-Trigger": json.dumps(events)})


@require_http_methods(["GET", "HEAD", "POST"])
def cancel_all(request: UserRequest) -> HttpResponseBase:
    """GET: how many orders of which symbols would end. POST `confirm=CANCEL`: ask for all of it."""
    account = account_shown(request)
    typed = request.POST.get("confirm", "").strip()
    if request.method == "POST" and typed.upper() == CANCEL_WORD:
        done = orders_cancel_all(account=account, actor=request.user, now=timezone.now())
        for level, text in cancel_all_words(done):
            messages.add_message(request, level, text)
        return see_other(request, "trading:orders")
    counts = cancelable_counts(account)
    context = {
        "counts": counts,
        "total": sum(count for _, count in counts),
        "word": CANCEL_WORD,
        "typed": typed,
        "wrong": request.method == "POST",
    }
    return render(
        request, "trading/cancel_all.html", context, status=422 if context["wrong"] else 200
    )
