"""Pages of a person's price alerts, and the panel of them beside a chart.

A door that changes something answers htmx with the part that changed, fires `st:alert`, on which
lists and charts fetch themselves again, and says in `st:say` what was done.
"""

import re
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render, resolve_url
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import trigger_client_event

from marketdata import quote_store, selectors
from marketdata.alert_selectors import alert_rows, firing_lines
from marketdata.alert_words import condition_text
from marketdata.domain.alerts import AlertDirection, level_suggested
from marketdata.domain.quotes import Quote
from marketdata.domain.symbols import symbol_slug
from marketdata.forms import AlertForm
from marketdata.models import Alert, Instrument
from marketdata.selectors import UnknownSymbol
from marketdata.services import alerts as services
from speedtrade.lib.errors import DomainError, InvalidInput
from speedtrade.lib.htmx import page, see_other
from speedtrade.lib.money import plain

ALERTS = "marketdata/alerts.html"
LIST_PART = "marketdata/partials/_alert_list.html"
FORM_PART = "marketdata/partials/_alert_form.html"
_ID = re.compile(r"[0-9]{1,18}", re.ASCII)
#: Name of a button -> (what it does, what is said afterwards).
ACTS = {
    "rearm": (services.alert_rearm, "The alert waits again"),
    "off": (services.alert_switch_off, "The alert is off"),
    "delete": (services.alert_delete, "Deleted the alert"),
}


@require_http_methods(["GET", "HEAD", "POST"])
def alerts(request: HttpRequest) -> HttpResponseBase:
    """All alerts, and what they said; `?symbol=&direction=&price=` fills the form in.

    POST sets one: 422 with the form if it cannot be. `here`, a symbol, says which page it is on.
    """
    if request.method == "POST":
        return _create(request)
    instrument = _named(request.GET.get("symbol", ""))
    return _page(request, **form_context(instrument, request.GET.dict()))


@require_POST
def rows(request: HttpRequest) -> HttpResponseBase:
    """POST `rearm=<id>`, `off=<id>` or `delete=<id>`."""
    here = _here(request)
    name = next((one for one in ACTS if _ID.fullmatch(request.POST.get(one, ""))), None)
    if name is None:
        raise InvalidInput("Choose an alert.")
    act, done = ACTS[name]
    try:
        alert = act(user=request.user, alert_id=int(request.POST[name]))
    except InvalidInput as error:
        return _list(request, here, problem=error.detail, status=422)
    said = f"{done}: {_words(alert)}."
    if not getattr(request, "htmx", False):
        messages.success(request, said)
        return see_other(request, _back(here))
    return _told(_list(request, here, focus=True), said)


@require_safe
def symbol_alerts(request: HttpRequest, symbol: str) -> HttpResponse:
    """The alerts of one symbol, for its page to fetch when something has happened."""
    return _list(request, selectors.instrument_get(symbol))


def panel_context(request: HttpRequest, instrument: Instrument, quote: Quote | None) -> Any:
    """What the page of a symbol shows of its alerts."""
    return {
        "alert_rows": alert_rows(request.user, instrument),
        "alert_here": instrument,
        **form_context(instrument, {}, quote),
    }


def form_context(
    instrument: Instrument | None, asked: dict[str, Any], quote: Quote | None = None
) -> dict[str, Any]:
    """A form to begin with, and the levels that it suggests: a round price some way off."""
    suggested: dict[str, str] = {}
    if instrument is not None:
        quote = quote or quote_store.quote_get(instrument.symbol)
        if quote is not None:
            suggested = {
                way.value: plain(level_suggested(way, quote.last, instrument.price_tick), 2)
                for way in AlertDirection
            }
    chosen = "below" if asked.get("direction") == "below" else "above"
    initial = {
        "symbol": instrument.symbol if instrument else asked.get("symbol", "")[:32],
        "direction": chosen,
        "price": asked.get("price", "")[:32] or suggested.get(chosen, ""),
    }
    return {"alert_form": AlertForm(initial=initial), "alert_suggested": suggested}


def _create(request: HttpRequest) -> HttpResponseBase:
    here, form = _here(request), AlertForm(request.POST)
    if form.is_valid():
        try:
            made = services.alert_create(user=request.user, now=timezone.now(), **form.cleaned_data)
        except UnknownSymbol as error:
            form.add_error("symbol", error.detail)
        except DomainError as error:
            form.with_refusal(error)
        else:
            return _created(request, made, here)
    context = {"alert_form": form, "alert_here": here}
    if getattr(request, "htmx", False):
        return render(request, FORM_PART, context, status=422)
    return _page(request, status=422, alert_form=form)


def _created(request: HttpRequest, made: Alert, here: Instrument | None) -> HttpResponseBase:
    said = f"Alert set: {_words(made)}."
    if not getattr(request, "htmx", False):
        messages.success(request, said)
        return see_other(request, _back(here))
    context = {"alert_here": here, "alert_added": True, **form_context(here, {})}
    return _told(render(request, FORM_PART, context), said)


def _told(response: HttpResponse, said: str) -> HttpResponse:
    trigger_client_event(response, "st:alert", {})
    trigger_client_event(response, "st:say", {"text": said})
    return response


def _page(request: HttpRequest, *, status: int = 200, **more: Any) -> HttpResponse:
    """The page of alerts, or for htmx the list on it."""
    context = {
        "alert_rows": alert_rows(request.user),
        "firings": firing_lines(request.user),
        "alert_symbols": selectors.watchlist_instruments(request.user),
        **more,
    }
    return page(request, ALERTS, context, partial=LIST_PART, status=status)


def _list(
    request: HttpRequest, here: Instrument | None, *, status: int = 200, **more: Any
) -> HttpResponse:
    """The alerts of `here`, or all; without htmx the whole page. `more` is problem, focus."""
    if here is None or not getattr(request, "htmx", False):
        return _page(request, status=status, **form_context(here, {}), **more)
    context = {"alert_rows": alert_rows(request.user, here), "alert_here": here, **more}
    return render(request, LIST_PART, context, status=status)


def _here(request: HttpRequest) -> Instrument | None:
    """The symbol on whose page a form stands; None for the page of alerts."""
    symbol = request.POST.get("here", "")
    return selectors.instrument_get(symbol) if symbol else None


def _named(symbol: str) -> Instrument | None:
    """The instrument of an address that fills the form in, if there is one."""
    try:
        return selectors.instrument_get(symbol) if symbol else None
    except UnknownSymbol:
        return None


def _back(here: Instrument | None) -> str:
    if here is None:
        return resolve_url("marketdata:alerts")
    return f"{resolve_url('marketdata:symbol', symbol_slug(here.symbol))}#alerts"


def _words(alert: Alert) -> str:
    return condition_text(alert.instrument, alert.direction, alert.price)
