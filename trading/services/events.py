"""Money that moved at the broker without an order: booked once each, by the broker's own id."""

import logging
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from accounts.models import BrokerageAccount
from marketdata.models import Instrument
from portfolio.models import EntryKind, JournalEntry
from portfolio.services.adjustments import cash_event_book, fee_in_kind
from portfolio.services.books import account_lock
from speedtrade.lib.errors import InvariantBroken
from speedtrade.lib.live import live_publish
from trading.brokers.base import CashEvent
from trading.models import BrokerLink

logger = logging.getLogger(__name__)
_KINDS = {
    "deposit": EntryKind.DEPOSIT,
    "withdrawal": EntryKind.WITHDRAWAL,
    "fee": EntryKind.FEE,
    "dividend": EntryKind.DIVIDEND,
}


def cash_events_book(
    *, account: BrokerageAccount, events: Sequence[CashEvent], now: datetime
) -> int:
    """Book what is new since our books began; how many."""
    began = BrokerLink.objects.values_list("began_at", flat=True).get(brokerage_account=account)
    # A fee that was taken in units is booked as what those units had cost, gone for nothing.
    fresh = [event for event in events if began and event.at > began]
    references = {event.event_id: f"event:{event.event_id}"[:100] for event in fresh}
    known = set(
        JournalEntry.objects.filter(
            brokerage_account=account, reference__in=references.values()
        ).values_list("reference", flat=True)
    )
    booked = 0
    for event in fresh:
        if references[event.event_id] in known:
            continue
        if event.kind not in _KINDS:
            logger.warning("cash_event_unknown", extra={"kind": event.kind})
            continue  # the comparison of cash will show it
        try:
            with transaction.atomic():
                locked = account_lock(account.pk)
                booked += _book(locked, event, references[event.event_id], now)
                live_publish(user_id=locked.user_id, kind="portfolio", thing_id=locked.pk)
        except InvariantBroken:
            # It goes once what comes before it is in the books; the others must not wait for that.
            logger.exception("cash_event_refused", extra={"account": account.pk})
    return booked


def _book(account: BrokerageAccount, event: CashEvent, reference: str, now: datetime) -> bool:
    """One event in the books of a locked account; whether anything was booked."""
    if event.amount:
        entry = cash_event_book(
            account=account,
            kind=_KINDS[event.kind],
            amount=event.amount,
            reference=reference,
            at=event.at,
            now=now,
        )
        return entry is not None
    instrument = Instrument.objects.filter(symbol=event.symbol).first()
    if event.qty >= 0 or instrument is None:
        return False  # the comparison of positions will show it
    return fee_in_kind(
        account=account, instrument=instrument, qty=-event.qty, event=event.event_id, now=now
    )
