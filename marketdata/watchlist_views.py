"""Pages of a person's watchlists.

A door that changes rows answers htmx with the list as it is now, and says in `st:say` what was
done; everybody else is sent back to the list.
"""

import re
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, resolve_url
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import trigger_client_event

from marketdata import selectors
from marketdata.forms import ImportForm, NameForm
from marketdata.models import Watchlist
from marketdata.services import watchlists as services
from marketdata.sorting import sort_asked, sort_links, sort_rows
from marketdata.views import quote_rows, with_sparks
from speedtrade.lib.columns import WATCHLIST
from speedtrade.lib.errors import Conflict, DomainError, InvalidInput
from speedtrade.lib.htmx import SeeOther, page, see_other

LIST = "marketdata/watchlist.html"
LIST_PART = "marketdata/partials/_watchlist.html"
SPARKS_FINE = 30  # a longer list draws its days with fewer points: it must stay light
UNKNOWN_NAMED = 20
_MOVE = re.compile(r"([0-9]{1,12}):([0-9]{1,4})", re.ASCII)
_ITEM = re.compile(r"[0-9]{1,12}", re.ASCII)


@require_safe
def index(request: HttpRequest) -> HttpResponseBase:
    """To the first list, or how to make one."""
    first = selectors.watchlist_default(request.user)
    if first is not None:
        return redirect("marketdata:watchlist", first.pk)
    return page(request, "marketdata/watchlists_none.html", {"form": NameForm()})


@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest) -> HttpResponseBase:
    """POST `name`: a new list; 422 with the form if there can be none."""
    form = NameForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            made = services.watchlist_create(
                user=request.user, now=timezone.now(), **form.cleaned_data
            )
        except DomainError as error:
            form.with_refusal(error)
        else:
            return see_other(request, "marketdata:watchlist", made.pk)
    return page(request, "marketdata/watchlist_new.html", {"form": form}, status=_status(form))


@require_safe
def show(request: HttpRequest, watchlist_id: int) -> HttpResponse:
    """`?sort=`: a list with its prices; the order that its owner made is the one without."""
    return _show(request, selectors.watchlist_get(request.user, watchlist_id))


@require_safe
def find(request: HttpRequest, watchlist_id: int) -> HttpResponse:
    """`?q=`: symbols that could be added, each with a button."""
    chosen = selectors.watchlist_get(request.user, watchlist_id)
    context = {"chosen": chosen, **_found(request.GET.get("q", ""), chosen)}
    if getattr(request, "htmx", False):
        return page(request, "marketdata/partials/_found.html", context)
    return _show(request, chosen, q=request.GET.get("q", ""))


@require_POST
def add(request: HttpRequest, watchlist_id: int) -> HttpResponseBase:
    """POST `symbol` (and `q`, what was searched): it stands on the list; again is harmless."""
    chosen, q = selectors.watchlist_get(request.user, watchlist_id), request.POST.get("q", "")
    try:
        item = services.watchlist_add(
            user=request.user,
            symbol=request.POST.get("symbol", ""),
            now=timezone.now(),
            watchlist_id=watchlist_id,
        )
    except Conflict as error:
        return _show(request, chosen, q=q, problem=error.detail, status=422)
    said = f"{item.instrument.symbol} is on {chosen.name}."
    return _done(request, chosen, said, q=q, added=True, row=item.pk)


@require_POST
def rows(request: HttpRequest, watchlist_id: int) -> HttpResponseBase:
    """POST `move=<row>:<position>` (`drop` from its grip) or `remove=<row>`."""
    chosen = selectors.watchlist_get(request.user, watchlist_id)
    who: dict[str, Any] = {"user": request.user, "watchlist_id": watchlist_id}
    asked = request.POST.get("move", "")
    if move := _MOVE.fullmatch(asked or request.POST.get("drop", "")):
        item = services.watchlist_item_move(**who, item_id=int(move[1]), position=int(move[2]))
        said = f"{item.instrument.symbol} is now number {item.position + 1}."
        opened = item.pk if asked else 0  # who used a button may want to use it again
        return _done(request, chosen, said, open_row=opened, row=item.pk)
    if _ITEM.fullmatch(request.POST.get("remove", "")):
        gone = services.watchlist_item_remove(**who, item_id=int(request.POST["remove"]))
        return _done(request, chosen, f"{gone.symbol} is off {chosen.name}.", focus=True)
    raise InvalidInput("Choose a row to move or to remove.")


@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, watchlist_id: int) -> HttpResponseBase:
    """POST `name`: the list has this name; 422 with the form if it cannot."""
    chosen = selectors.watchlist_get(request.user, watchlist_id)
    form = NameForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            services.watchlist_rename(
                user=request.user, watchlist_id=watchlist_id, **form.cleaned_data
            )
        except DomainError as error:
            form.with_refusal(error)
        else:
            return see_other(request, "marketdata:watchlist", watchlist_id)
    elif not form.is_bound:
        form = NameForm(initial={"name": chosen.name})
    lists = list(selectors.watchlists_of(request.user))
    context = {"chosen": chosen, "form": form, "lists": lists, "last": len(lists) - 1}
    return page(request, "marketdata/watchlist_edit.html", context, status=_status(form))


@require_POST
def move(request: HttpRequest, watchlist_id: int) -> HttpResponseBase:
    """POST `position`: the list stands there among the tabs."""
    text = request.POST.get("position", "")
    if not re.fullmatch(r"[0-9]{1,4}", text, re.ASCII):
        raise InvalidInput.field("position", "Choose a place among your lists.")
    services.watchlist_move(user=request.user, watchlist_id=watchlist_id, position=int(text))
    return see_other(request, "marketdata:watchlist_edit", watchlist_id)


@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, watchlist_id: int) -> HttpResponseBase:
    """GET asks, POST deletes."""
    chosen = selectors.watchlist_get(request.user, watchlist_id)
    if request.method == "POST":
        name = services.watchlist_delete(user=request.user, watchlist_id=watchlist_id)
        messages.success(request, f"Deleted {name}.")
        return see_other(request, "marketdata:watchlists")
    context = {"chosen": chosen, "count": chosen.items.count()}
    return page(request, "marketdata/watchlist_delete.html", context)


@require_safe
def export(request: HttpRequest, watchlist_id: int) -> HttpResponse:
    """The list as text, a symbol a line."""
    chosen = selectors.watchlist_get(request.user, watchlist_id)
    lines = [f"{item.instrument.symbol}\n" for item in selectors.watchlist_items(chosen)]
    response = HttpResponse("".join(lines), content_type="text/plain; charset=utf-8")
    name = content_disposition_header(True, f"{chosen.name}.txt")
    response.headers["Content-Disposition"] = name or "attachment"
    return response


@require_http_methods(["GET", "HEAD", "POST"])
def bring(request: HttpRequest, watchlist_id: int) -> HttpResponseBase:
    """POST `symbols`, text: what we know is added, what we do not know is named."""
    chosen = selectors.watchlist_get(request.user, watchlist_id)
    form = ImportForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            done = services.watchlist_import(
                user=request.user, watchlist_id=watchlist_id, text=form.cleaned_data["symbols"]
            )
        except DomainError as error:
            form.with_refusal(error)
        else:
            if done.known:
                _tell(request, chosen, done)
                return see_other(request, "marketdata:watchlist", watchlist_id)
            form.add_error("symbols", f"We do not know {_named(done.unknown)}.")
    context = {"chosen": chosen, "form": form}
    return page(request, "marketdata/watchlist_import.html", context, status=_status(form))


def _tell(request: HttpRequest, chosen: Watchlist, done: services.Imported) -> None:
    there = done.known - done.added
    were = f"; {there} stood there already" if there else ""
    one = "symbol" if done.added == 1 else "symbols"
    messages.success(request, f"Added {done.added} {one} to {chosen.name}{were}.")
    if done.unknown:
        messages.warning(request, f"We do not know {_named(done.unknown)}.")


def _named(unknown: list[str]) -> str:
    more = len(unknown) - UNKNOWN_NAMED
    return ", ".join(unknown[:UNKNOWN_NAMED]) + (f" and {more} more" if more > 0 else "")


def _status(form: NameForm | ImportForm) -> int:
    return 422 if form.is_bound else 200


def _found(text: str, chosen: Watchlist) -> dict[str, Any]:
    """What matches `text`, and what of it stands on the list."""
    q = text.strip()[:60]
    instruments = selectors.instrument_search(q, settings.SEARCH_LIMIT) if q else []
    there = set()
    if instruments:
        items = chosen.items.filter(instrument__in=instruments)
        there = set(items.values_list("instrument_id", flat=True))
    return {"q": q, "found": instruments, "there": there}


def _show(
    request: HttpRequest, chosen: Watchlist, *, q: str = "", status: int = 200, **more: Any
) -> HttpResponse:
    """The list; `more` is problem (words), open_row (its menu is open), focus, added."""
    now, sort = timezone.now(), sort_asked(request.GET.get("sort", ""))
    opened, kept = request.GET.get("row", ""), getattr(request.user, "columns", {})
    items = selectors.watchlist_items(chosen)
    shown = quote_rows([item.instrument for item in items], now)
    for item, row in zip(items, shown, strict=True):
        row |= {"item": item, "up": max(0, item.position - 1), "down": item.position + 1}
    with_sparks(shown, now, "15m" if len(shown) <= SPARKS_FINE else "1h")
    context = {
        "chosen": chosen,
        "lists": selectors.watchlists_of(request.user),
        "rows": sort_rows(shown, sort),
        "sort": sort,
        "links": sort_links(sort),
        "columns": WATCHLIST.shown_to(kept),
        "column_choices": WATCHLIST.choices(kept),
        "query": f"?{urlencode({'sort': sort})}" if sort else "",
        "open_row": int(opened) if _ITEM.fullmatch(opened) else 0,
        **_found(q, chosen),
        **more,
    }
    return page(request, LIST, context, partial=LIST_PART, status=status)


def _done(
    request: HttpRequest, chosen: Watchlist, said: str, *, row: int = 0, **more: Any
) -> HttpResponseBase:
    """The list and what was done; without htmx, back to the list and to its `row`."""
    if getattr(request, "htmx", False):
        return trigger_client_event(_show(request, chosen, **more), "st:say", {"text": said})
    asked = {"sort": sort_asked(request.GET.get("sort", "")), "row": more.get("open_row", 0)}
    query = urlencode({name: value for name, value in asked.items() if value})
    url = resolve_url("marketdata:watchlist", chosen.pk)
    return SeeOther(f"{url}{'?' * bool(query)}{query}{f'#row-{row}' if row else ''}")
