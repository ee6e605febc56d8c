"""What this app knows of a user, for the file of all their data."""

from collections.abc import Iterator
from typing import Any

from accounts.models import User
from accounts.services.exports import register_export
from marketdata.alert_selectors import alerts_of, firings_of
from marketdata.presenters import alert_json, firing_json
from marketdata.selectors import watchlist_instruments
from portfolio.models import CashTransfer, JournalEntry, Position
from portfolio.presenters import activity_payload, transfer_payload
from speedtrade.lib.money import money, plain

CHUNK = 1000  # rows in memory at a time


def register() -> None:
    register_export("watchlist", watchlist)
    register_export("alerts", alerts)
    register_export("alert_log", alert_log)
    register_export("positions", positions)
    register_export("activity", activity)
    register_export("transfers", transfers)


def watchlist(user: User) -> Iterator[dict[str, Any]]:
    for row in watchlist_instruments(user):
        yield {"symbol": row.symbol}


def alerts(user: User) -> Iterator[dict[str, Any]]:
    for row in alerts_of(user).order_by("id").iterator(chunk_size=CHUNK):
        yield alert_json(row)


def alert_log(user: User) -> Iterator[dict[str, Any]]:
    for row in firings_of(user).order_by("id").iterator(chunk_size=CHUNK):
        yield firing_json(row)


def positions(user: User) -> Iterator[dict[str, Any]]:
    rows = Position.objects.filter(brokerage_account__user=user).select_related("instrument")
    for row in rows.order_by("id").iterator(chunk_size=CHUNK):
        yield {
            "account_id": row.brokerage_account_id,
            "symbol": row.instrument.symbol,
            "qty": plain(row.qty),
            "cost_basis": money(row.cost_basis),
            "realized_pl": money(row.realized_pl),
            "fees": money(row.fees),
        }


def activity(user: User) -> Iterator[dict[str, Any]]:
    rows = JournalEntry.objects.filter(brokerage_account__user=user).select_related("instrument")
    for row in rows.order_by("id").iterator(chunk_size=CHUNK):
        yield {
            "account_id": row.brokerage_account_id,
            **activity_payload(row),
            "reference": row.reference,
        }


def transfers(user: User) -> Iterator[dict[str, Any]]:
    rows = CashTransfer.objects.filter(brokerage_account__user=user).order_by("id")
    for row in rows.iterator(chunk_size=CHUNK):
        yield transfer_payload(row)
