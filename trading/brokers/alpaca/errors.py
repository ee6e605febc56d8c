"""Which of Alpaca's refusals are definite, and what they tell the person who ordered.

A submit is refused only by a reply on this list; everything else leaves the outcome unknown.
Code 40310000 means a dozen things: the HTTP status comes first, then the message.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from trading.brokers.alpaca import parse
from trading.brokers.base import (
    AuthFailed,
    BrokerError,
    Budget,
    DuplicateClientOrderId,
    OrderRejected,
    OutcomeUnknown,
    RateLimited,
)

DUPLICATE_CODE = 40010001
DUPLICATE_WORDS = "client_order_id must be unique"
RAW_SHOWN = 2000  # of a reply's text, kept with a rejection
FAR = timedelta(hours=1)  # nobody is made to wait longer, whatever a header says

#: (part of the message, our code, what its owner can do); the first that fits.
REASONS: list[tuple[str, str, str]] = [
    (
        "insufficient buying power",
        "insufficient_buying_power",
        "Alpaca says that the buying power does not cover it. Order less, or add money there.",
    ),
    (
        "insufficient qty",
        "insufficient_position",
        "Alpaca says that not so many are free to sell. Open orders may hold some: cancel them.",
    ),
    (
        "insufficient balance",
        "insufficient_position",
        "Alpaca says that the balance does not cover it. Order less.",
    ),
    (
        "wash trade",
        "wash_trade",
        "An open order of yours on the other side could trade with it. Cancel that one first.",
    ),
    (
        "not fractionable",
        "not_fractionable",
        "Alpaca trades only whole shares of it. Order a whole number of shares.",
    ),
    (
        "fractional orders must be",
        "not_fractionable",
        "Alpaca takes fractions of a share and amounts of money only with time in force day.",
    ),
    ("not tradable", "instrument_not_tradable", "It cannot be traded at Alpaca now."),
    ("not active", "instrument_not_tradable", "It cannot be traded at Alpaca now."),
    ("not found", "instrument_not_tradable", "Alpaca does not know this symbol."),
    ("halted", "symbol_halted", "Trading in it is halted. Order again when it goes on."),
    (
        "market is closed",
        "market_closed",
        "The market is closed. Order again when it is open, or with time in force opg or gtc.",
    ),
    (
        "market hours",
        "market_closed",
        "Alpaca does not take this order at this time of the day.",
    ),
    (
        "sub-penny",
        "price_off_grid",
        "The limit has too many decimals: cents from 1.00 on, hundredths of cents below.",
    ),
    ("minimal amount of order", "qty_too_small", "It is too small: Alpaca takes 1 dollar or more."),
    ("cost basis must be", "qty_too_small", "It is too small for Alpaca. Order more."),
    (
        "rejected by user request",
        "account_blocked",
        "Trading is suspended in the settings at Alpaca. Switch it on there.",
    ),
    (
        "restricted",
        "account_blocked",
        "Alpaca has restricted this account. Its pages or its support say why.",
    ),
    ("shorting", "insufficient_position", "The account may sell only what it holds."),
    ("not allowed to short", "insufficient_position", "The account may sell only what it holds."),
    ("extended hours", "extended_hours", "Outside of market hours only limits for the day work."),
]


def body_of(text: str) -> Mapping[str, Any] | None:
    """The JSON object of an error; None for HTML, for nothing, for what is no object."""
    try:
        found = parse.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def message_of(body: Mapping[str, Any]) -> str:
    return str(body.get("message") or "")[:300]


def of_submit(status: int | None, text: str, headers: Mapping[str, str]) -> BrokerError:
    """What a reply that is no success says of the order that was sent."""
    if status == 429:
        return rate_limited(headers)
    if status == 401:
        return AuthFailed("Alpaca did not take the key of this account.")
    body = body_of(text)
    if status not in {400, 403, 404, 422} or body is None or not message_of(body):
        # A gateway's word, a server's trouble, anything new: the order may live.
        return OutcomeUnknown(f"Alpaca answered {status}")
    message = message_of(body)
    if body.get("code") == DUPLICATE_CODE and DUPLICATE_WORDS in message:
        return DuplicateClientOrderId(message)
    if status == 422 and DUPLICATE_WORDS in message:
        return DuplicateClientOrderId(message)
    if status == 403 and message.strip(". ").lower() in {"forbidden", "access denied"}:
        return AuthFailed("The key of this account may not trade at Alpaca.")
    if status == 404 and "endpoint" in message.lower():
        words = "The address of Alpaca is wrong in the settings (ALPACA_TRADING_URL)."
        return OrderRejected("broker_rejected", words, text[:RAW_SHOWN])
    code, words = reason(message)
    return OrderRejected(code, words, text[:RAW_SHOWN])


def reason(message: str) -> tuple[str, str]:
    """(our code, a sentence) for Alpaca's message; its own words where we have none."""
    lower = message.lower()
    for part, code, words in REASONS:
        if part in lower:
            return code, words
    return "broker_rejected", f"Alpaca refused it: {message}"


class NotFound(OutcomeUnknown):
    """A 404 that is not the vendor's word about a thing: a gateway's, or an address it lacks."""


def of_read(status: int | None, text: str, headers: Mapping[str, str]) -> BrokerError:
    """What a failed look says: mostly nothing."""
    if status == 429:
        return rate_limited(headers)
    if status == 401 or (status == 403 and body_of(text) is not None):
        return AuthFailed("Alpaca did not take the key of this account.")
    if status == 404:
        return NotFound("Alpaca answered 404")
    return OutcomeUnknown(f"Alpaca answered {status}")  # a gateway's 403 is not about the key


def is_miss(status: int | None, text: str) -> bool:
    """A 404 that the vendor itself says of a thing: not a gateway's, not of a wrong address."""
    body = body_of(text) if status == 404 else None
    return bool(body) and "endpoint" not in message_of(body or {}).lower()


def rate_limited(headers: Mapping[str, str]) -> RateLimited:
    return RateLimited("Alpaca counts too many requests of this account.", retry_at(headers))


def retry_at(headers: Mapping[str, str], now: datetime | None = None) -> datetime | None:
    """When to ask again, by `Retry-After` (seconds or a date) or by the end of the budget."""
    now = now or datetime.now(UTC)
    after = headers.get("Retry-After", "")
    try:
        if after.isascii() and after.isdigit():
            when = now + timedelta(seconds=min(int(after), FAR.total_seconds()))
        elif after:
            when = parsedate_to_datetime(after).astimezone(UTC)
        else:
            return resets_at(headers, now)
    except (ValueError, OverflowError):
        return resets_at(headers, now)
    return min(when, now + FAR)


def resets_at(headers: Mapping[str, str], now: datetime) -> datetime | None:
    text = headers.get("X-RateLimit-Reset", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 11):
        return None
    return min(datetime.fromtimestamp(int(text), UTC), now + FAR)


def budget(headers: Mapping[str, str]) -> Budget:
    """What a reply's headers say of the rate limit; most endpoints promise none."""
    left = headers.get("X-RateLimit-Remaining", "")
    remaining = int(left) if left.isascii() and left.isdigit() and len(left) < 10 else None
    return Budget(remaining, resets_at(headers, datetime.now(UTC)))
