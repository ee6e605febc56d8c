"""Instruments come from a data file and from venues; people halt and resume them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from marketdata.feeds.base import Feed
from marketdata.models import Instrument
from marketdata.selectors import UnknownSymbol, instruments_forget
from marketdata.services.listings import claims_of, listings_apply
from speedtrade.lib.audit import audit_record
from speedtrade.lib.errors import Conflict, InvalidInput
from speedtrade.lib.live import live_publish_all

REASON_MAX = 200


def instruments_load(feeds: Sequence[Feed] = ()) -> tuple[int, int]:
    """Write the data file, and what the vendors among `feeds` list, into the table.

    Returns (how many are new, how many there are). Harmless to repeat: rules and names follow
    their source, a halt stays, nothing is deleted. A vendor that is not asked keeps what it has.
    """
    return listings_apply(claims_of(feeds))


@transaction.atomic
def instrument_halt(*, symbol: str, actor: Any, reason: str, now: datetime) -> Instrument:
    """Stop new orders in a symbol; raises UnknownSymbol, InvalidInput (no reason), Conflict."""
    instrument = _locked(symbol)
    if instrument.halted_at is not None:
        raise Conflict(f"{symbol} is halted already: {instrument.halt_reason}")
    instrument.halted_at, instrument.halt_reason = now, _reason(reason)
    return _saved(instrument, "instrument.halt", actor, reason, now)


@transaction.atomic
def instrument_resume(*, symbol: str, actor: Any, reason: str, now: datetime) -> Instrument:
    """Let orders in again; raises UnknownSymbol, InvalidInput (no reason), Conflict."""
    instrument = _locked(symbol)
    if instrument.halted_at is None:
        raise Conflict(f"{symbol} is not halted.")
    _reason(reason)
    instrument.halted_at, instrument.halt_reason = None, ""
    return _saved(instrument, "instrument.resume", actor, reason, now)


def _locked(symbol: str) -> Instrument:
    found = Instrument.objects.select_for_update(no_key=True).filter(symbol=symbol).first()
    if found is None:
        raise UnknownSymbol(f"We do not know the symbol {symbol[:32]!r}.")
    return found


def _reason(reason: str) -> str:
    text = reason.strip()
    if not text or len(text) > REASON_MAX:
        raise InvalidInput.field("reason", f"Say why, in at most {REASON_MAX} characters.")
    return text


def _saved(
    instrument: Instrument, action: str, actor: Any, reason: str, now: datetime
) -> Instrument:
    instrument.save(update_fields=["halted_at", "halt_reason"])
    audit_record(
        actor=actor,
        action=action,
        target=f"instrument:{instrument.symbol}",
        reason=reason.strip(),
        now=now,
    )
    # Only after the commit: a reader in between would put the old row back.
    transaction.on_commit(instruments_forget)
    live_publish_all(kind="halt", thing_id=instrument.pk)
    return instrument
