"""The ticket, from edit to confirmation. Orders have pages of their own (`order_views`)."""

from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import trigger_client_event

from accounts.requests import UserRequest, account_shown
from accounts.sessions import live_session_check
from marketdata.domain.symbols import symbol_slug
from marketdata.selectors import instrument_get, instruments_forget, watchlist_instruments
from speedtrade.lib.errors import DomainError
from speedtrade.lib.htmx import page, see_other
from speedtrade.lib.ratelimit import RateLimited
from trading import panels
from trading.desks import Desk, desk_get, desk_of
from trading.forms import TicketForm
from trading.marks import marks_of
from trading.reviews import Proof, Review, review_read
from trading.selectors.orders import orders_of
from trading.services.orders import KeyReused
from trading.services.reviews import review_confirm, review_or_place
from trading.standing import standing_context


@require_safe
def trade(request: UserRequest) -> HttpResponse:
    """To the ticket of the symbol ordered last, else of the first that is watched, else to all."""
    last = orders_of(account_shown(request)).first()
    watched = None if last else next(iter(watchlist_instruments(request.user)), None)
    instrument = last.instrument if last else watched
    if instrument is None:
        return redirect("marketdata:markets")
    page = reverse("marketdata:symbol", args=[symbol_slug(instrument.symbol)])
    return redirect(f"{page}#ticket")


# ── the ticket ───────────────────────────────────────────────────────────────
@require_http_methods(["GET", "HEAD", "POST"])
def ticket(request: UserRequest, symbol: str) -> HttpResponse:
    """The ticket alone: as an address asks for it, or as it was typed with an estimate (POST).

    `share` (25, 50, 75, 100) fills in that part of what is free, `at_limit` the price of now.
    """
    desk = _desk(request, symbol)
    if request.method != "POST":
        return _ticket(request, desk, TicketForm.fresh(desk, request.GET, request.user))
    return _ticket(request, desk, TicketForm(request.POST).answered(desk))


@require_POST
def estimate(request: UserRequest, symbol: str) -> HttpResponse:
    """What the order on the ticket would come to; never refuses, says why it would be refused."""
    desk = _desk(request, symbol)
    context = panels.ticket_context(desk, TicketForm(request.POST))
    return render(request, "trading/partials/_estimate.html", context)


@require_POST
def review(request: UserRequest, symbol: str) -> HttpResponseBase:
    """POST the ticket: the review with its token, or 422 with the ticket and what to change.

    303 to the order where its owner wants no review of one so small.
    """
    desk, form = _desk(request, symbol), TicketForm(request.POST)
    try:
        live_session_check(request, desk.account)
        intent = form.intent(desk.instrument)
        done = review_or_place(
            desk=desk,
            intent=intent,
            key=form.key,
            user=request.user,
            now=desk.now,
            waits=form.waits,
        )
    except RateLimited:
        raise
    except KeyReused:
        return _ticket(request, desk, form.renewed(), status=422)
    except DomainError as error:
        return _ticket(request, desk, form.with_refusal(error), status=422)
    if isinstance(done, Review):
        return _ticket(request, desk, form, review=done)
    return see_other(request, "trading:order", done.pk)


@require_POST
def place(request: UserRequest) -> HttpResponseBase:
    """POST the `token` of a review: 303 to the order, or 422 and another look.

    `agree=on` answers its questions; `confirmed=hold` or the symbol as `word` confirms a large one.
    """
    now = timezone.now()
    asked = review_read(request.POST.get("token", ""), user=request.user)
    desk = desk_get(
        user=request.user, symbol=asked.intent.symbol, now=now, account_id=asked.account_id
    )
    form, agreed = TicketForm.of_intent(asked.intent), request.POST.get("agree") == "on"
    try:
        live_session_check(request, desk.account)
        done = review_confirm(
            desk=desk,
            asked=asked,
            agreed=agreed,
            proof=Proof.of(request.POST),
            confirmed_by=request.user,
            now=now,
        )
    except RateLimited:
        raise
    except DomainError as error:
        return _ticket(request, desk, form.with_refusal(error), status=422)
    if isinstance(done, Review):
        return _ticket(request, desk, form, review=done, status=422)
    return see_other(request, "trading:order", done.pk)


def _desk(request: UserRequest, symbol: str) -> Desk:
    account, instrument = account_shown(request), instrument_get(symbol)
    return desk_of(account=account, instrument=instrument, now=timezone.now())


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
    account, instrument = account_shown(request), instrument_get(symbol)
    context = panels.here_context(account, instrument, timezone.now())
    return render(request, "trading/partials/_here.html", context)


@require_safe
def standing(request: UserRequest) -> HttpResponse:
    """`?symbol=&seen=&places=`: whether orders are taken, for an open page; 204 for nothing new.

    With what is new comes `st:shut`, on which a ticket fetches itself again.
    """
    account, symbol = account_shown(request), request.GET.get("symbol", "")
    instruments_forget()  # asked when one has changed: what this process remembers is from before
    context = standing_context(
        account,
        instrument_get(symbol) if symbol else None,
        seen=request.GET.get("seen", ""),
        places=request.GET.get("places", "").split(),
        now=timezone.now(),
    )
    if context is None:
        return HttpResponse(status=204)
    response = render(request, "trading/partials/_standing.html", context)
    trigger_client_event(response, "st:say", {"text": context["words"]})
    return trigger_client_event(response, "st:shut", after="swap")


@require_safe
def marks(request: UserRequest, symbol: str) -> HttpResponse:
    """What the chart draws of one's own: cost, working orders, fills."""
    account, instrument = account_shown(request), instrument_get(symbol)
    return JsonResponse(marks_of(account, instrument))
