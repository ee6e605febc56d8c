"""Alpaca's activities that are no trades, as movements of cash."""

import logging
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from trading.brokers.alpaca import parse
from trading.brokers.base import CashEvent

logger = logging.getLogger(__name__)
MOVED = ""  # by its sign a deposit or a withdrawal

#: Alpaca's kind of activity -> (ours, words).
KINDS = {
    "CSD": (MOVED, "cash deposit"),
    "CSW": (MOVED, "cash withdrawal"),
    "ACATC": (MOVED, "cash transferred between brokers"),
    "JNLC": (MOVED, "cash moved between accounts"),
    "JNL": (MOVED, "moved between accounts"),
    "OCT": (MOVED, "transfer on a blockchain"),
    "MISC": (MOVED, "miscellaneous"),
    "DIV": ("dividend", "dividend"),
    "DIVCGL": ("dividend", "capital gain, long term"),
    "DIVCGS": ("dividend", "capital gain, short term"),
    "DIVROC": ("dividend", "return of capital"),
    "DIVTXEX": ("dividend", "dividend, tax exempt"),
    "CGD": ("dividend", "capital gain distribution"),
    "INT": ("dividend", "interest"),
    "DIVFEE": ("fee", "fee on a dividend"),
    "DIVFT": ("fee", "foreign tax on a dividend"),
    "DIVNRA": ("fee", "tax of a non-resident on a dividend"),
    "DIVTW": ("fee", "tax withheld on a dividend"),
    "INTNRA": ("fee", "tax of a non-resident on interest"),
    "INTTW": ("fee", "tax withheld on interest"),
    "FEE": ("fee", "fee"),
    "CFEE": ("fee", "fee of a trade in coins"),
    "PTC": ("fee", "charge passed through"),
    "PTR": ("fee", "rebate passed through"),
    "MA": (MOVED, "merger or acquisition"),
    "REO": (MOVED, "reorganization"),
    "REORG": (MOVED, "reorganization"),
    "SPIN": (MOVED, "spin-off"),
    "SPLIT": (MOVED, "cash for a split"),
}


def cash_event(row: Mapping[str, Any]) -> CashEvent | None:
    """The movement that an activity tells of; None for one that moved nothing.

    One that cannot be read is left out and logged: the next comparison of cash shows what it was.
    """
    try:
        kind = parse.word(row.get("activity_type"))
        amount = parse.maybe_number(row.get("net_amount")) or Decimal(0)
        qty = parse.maybe_number(row.get("qty")) or Decimal(0)
        if kind not in KINDS or row.get("status") == "canceled" or (not amount and not qty):
            return None
        ours, words = KINDS[kind]
        if not amount and kind != "CFEE":
            return None  # shares moved, or a dividend's quantity: no cash and no fee in kind
        if ours == "dividend" and amount < 0:
            ours = "fee"  # interest on what was borrowed, a dividend taken back
        return CashEvent(
            event_id=parse.word(row.get("id")),
            kind=ours or ("deposit" if amount > 0 else "withdrawal"),
            amount=amount,
            at=_at(row),
            symbol=_symbol(row),
            words=words,
            qty=qty if kind == "CFEE" else Decimal(0),
        )
    except parse.Unreadable as error:
        logger.warning("alpaca_odd_activity", extra={"error": str(error)})
        return None


def _at(row: Mapping[str, Any]) -> datetime:
    """When it was entered; else the day that it is dated, at its beginning."""
    text = row.get("created_at") or row.get("transaction_time") or row.get("date")
    if isinstance(text, str) and "T" not in text:
        text = f"{text}T00:00:00Z"
    return parse.moment(text)


def _symbol(row: Mapping[str, Any]) -> str:
    symbol = row.get("symbol")
    if not isinstance(symbol, str) or not symbol:
        return ""
    return parse.symbol_of(symbol, "crypto" if row.get("activity_type") == "CFEE" else "us_equity")
