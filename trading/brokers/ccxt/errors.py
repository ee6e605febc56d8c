"""What a failed call means. A refusal counts only in the venue's own, parsed words.

ccxt sorts its exceptions by kind, not by what is known afterwards: a NetworkError may have reached
the venue, an ExchangeError may have been carried out. So the words decide, by an allow-list, and
what is on none of them leaves the outcome unknown.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import requests
from urllib3.exceptions import NewConnectionError

from trading.brokers.base import (
    AuthFailed,
    BrokerError,
    DuplicateClientOrderId,
    NotSent,
    OrderRejected,
    OutcomeUnknown,
    RateLimited,
)
from trading.brokers.ccxt.venues import Venue

RAW_MAX = 500


class Gone(OutcomeUnknown):
    """The venue's word that it has no such order: only whoever asked knows what follows."""


class Refusal(OutcomeUnknown):
    """The venue understood a read and will not answer it: asking again would not help."""


class ClockOff(NotSent):
    """The venue finds our time wrong; measuring the difference anew may help."""


class Kind(Enum):
    """What a venue's words say about a call that they answer."""

    REFUSED = "refused"  # not carried out, and never will be
    AUTH = "auth"  # the key is not taken
    PERMISSION = "permission"  # the key is taken, and may not do this
    RATE = "rate"
    NONCE = "nonce"
    CLOCK = "clock"
    TWIN = "twin"  # an open order has this client id
    GONE = "gone"  # no such order


@dataclass(frozen=True, slots=True)
class Rule:
    """Words that match `pattern` mean this; `{venue}` is its name, `{said}` its words."""

    pattern: str
    kind: Kind
    code: str = ""
    words: str = "{venue} refused the order: {said}."


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of a call that failed: whether it left, and what came back."""

    sent: bool
    text: str | None
    status: int = 0


_FUNDS = "insufficient_buying_power"
_FUNDS_WORDS = "{venue} says that the account has too little for this order: {said}."
_SMALL_WORDS = "{venue} takes no order so small: {said}."
_SHUT_WORDS = "{venue} does not take new orders in this market now: {said}."

_RULES: dict[str, tuple[Rule, ...]] = {
    "kraken": (
        Rule(r"EAPI:Invalid nonce", Kind.NONCE),
        Rule(r"EAPI:Invalid (key|signature)|EAuth:|ESession:Invalid session", Kind.AUTH),
        Rule(r"EGeneral:Permission denied|EAccount:Invalid permissions", Kind.PERMISSION),
        Rule(r"E(API|Order|General|Auth):(.*[Rr]ate limit exceeded|Too many requests)", Kind.RATE),
        Rule(r"EGeneral:Temporary lockout", Kind.RATE),
        Rule(r"(?i)E(Order|General):.*(duplicate|already (exists|in use)|not unique)", Kind.TWIN),
        Rule(r"E(Order|Query):Unknown order", Kind.GONE),
        Rule(r"EOrder:Insufficient (funds|margin)", Kind.REFUSED, _FUNDS, _FUNDS_WORDS),
        Rule(
            r"EOrder:(Order|Cost) minimum not met|EGeneral:Invalid arguments:volume minimum",
            Kind.REFUSED,
            "qty_too_small",
            _SMALL_WORDS,
        ),
        Rule(r"EOrder:(Tick size|Invalid price)", Kind.REFUSED, "price_off_grid"),
        Rule(
            r"E(Query|General):(Unknown|Invalid) asset( pair)?",
            Kind.REFUSED,
            "instrument_not_at_broker",
        ),
        Rule(r"EService:Market in \w+ mode", Kind.REFUSED, "market_closed", _SHUT_WORDS),
        Rule(r"ETrade:User Locked", Kind.REFUSED, "broker_permission"),
        Rule(
            r"EGeneral:(Invalid arguments|Unknown method)|EBM:limit exceeded|ETrade:Invalid request"
            r"|EOrder:(Invalid order|Orders limit|Positions limit|Scheduled orders limit"
            r"|Margin|Reduce only|Cannot open|Unknown position|Trading agreement)",
            Kind.REFUSED,
        ),
    ),
    "binance": (
        Rule(r"-1021\b", Kind.CLOCK),
        Rule(r"-10(22|99)\b|-2014\b|-2015\b.*(key format|Invalid API-key)", Kind.AUTH),
        Rule(r"-1002\b|-2015\b", Kind.PERMISSION),
        Rule(r"-1003\b|-1015\b", Kind.RATE),
        Rule(r"-2010\b.*Duplicate order sent", Kind.TWIN),
        Rule(r"-2010\b.*insufficient balance", Kind.REFUSED, _FUNDS, _FUNDS_WORDS),
        Rule(r"-2010\b.*[Mm]arket is closed", Kind.REFUSED, "market_closed", _SHUT_WORDS),
        Rule(r"-1013\b.*NOTIONAL", Kind.REFUSED, "qty_too_small", _SMALL_WORDS),
        Rule(r"-1013\b.*LOT_SIZE", Kind.REFUSED, "qty_off_grid"),
        Rule(r"-1013\b.*PRICE", Kind.REFUSED, "price_off_grid"),
        Rule(r"-1121\b", Kind.REFUSED, "instrument_not_at_broker"),
        Rule(r"-2011\b|-2013\b", Kind.GONE),
        Rule(r"-2010\b|-1013\b|-11\d\d\b", Kind.REFUSED),
    ),
    "coinbase": (
        Rule(r"INSUFFICIENT_FUND", Kind.REFUSED, _FUNDS, _FUNDS_WORDS),
        Rule(r"SIZE_TOO_SMALL|MIN_SIZE|BELOW_MIN", Kind.REFUSED, "qty_too_small", _SMALL_WORDS),
        Rule(r"INVALID_(LIMIT_)?PRICE|PRICE_PRECISION", Kind.REFUSED, "price_off_grid"),
        Rule(r"INVALID_SIZE|SIZE_PRECISION|BASE_SIZE", Kind.REFUSED, "qty_off_grid"),
        Rule(r"PRODUCT_(ID|NOT)|UNKNOWN_PRODUCT", Kind.REFUSED, "instrument_not_at_broker"),
        Rule(r"DUPLICATE_CLIENT_ORDER_ID", Kind.TWIN),
        Rule(r"UNKNOWN_CANCEL_ORDER|FULLY_FILLED|ALREADY_CANCEL|NOT_FOUND", Kind.GONE),
        Rule(r"permission_denied|PERMISSION_DENIED|missing required scopes", Kind.PERMISSION),
        Rule(r"unauthorized|Unauthorized|invalid_api_key", Kind.AUTH),
        Rule(r"rate_limit_exceeded|RESOURCE_EXHAUSTED", Kind.RATE),
        Rule(r"INVALID_(SIDE|REQUEST|ARGUMENT)|INVALID_ORDER_CONFIG", Kind.REFUSED),
    ),
}


def said(venue: Venue, text: str | None) -> str:
    """The words of a refusal in a reply of the venue, or nothing where it is none that we can read.

    Several words are one refusal only where each of them is known: so they are joined by a line.
    """
    try:
        body: Any = json.loads(text or "")
    except (ValueError, RecursionError):
        return ""
    if not isinstance(body, dict):
        return ""
    if venue.id == "kraken":
        errors = body.get("error")
        if not isinstance(errors, list) or not all(isinstance(one, str) for one in errors):
            return ""
        return "\n".join(errors)
    if venue.id == "binance":
        code, message = body.get("code"), body.get("msg")
        return f"{code} {message}" if isinstance(code, int) and code < 0 else ""
    results = body.get("results")
    if isinstance(results, list):  # of a cancel, one per order
        failed = [one for one in results if isinstance(one, dict) and not one.get("success")]
        return "\n".join(str(one.get("failure_reason")) for one in failed)
    inner = body.get("error_response")
    if isinstance(inner, dict):
        named = ("error", "preview_failure_reason", "new_order_failure_reason", "message")
        return " ".join(str(inner[name]) for name in named if inner.get(name))
    error = body.get("error")
    return f"{error} {body.get('message') or ''}".strip() if isinstance(error, str) else ""


def rule_of(venue: Venue, words: str) -> Rule | None:
    """The rule for the words of a refusal; None unless all of them are on the list."""
    lines = words.split("\n") if words else []
    rules = []
    for line in lines:
        found = next((r for r in _RULES[venue.id] if re.search(r.pattern, line, re.S)), None)
        if found is None:
            return None
        rules.append(found)
    return rules[0] if rules else None


def never_left(error: BaseException) -> bool:
    """Whether no connection was made: refused, no such name, or no answer to the knock."""
    for one in _causes(error):
        if isinstance(one, requests.exceptions.ConnectTimeout):
            return True
        if isinstance(one, requests.exceptions.ConnectionError):
            inner = one.args[0] if one.args else None
            if isinstance(getattr(inner, "reason", None), NewConnectionError):
                return True
    return False


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def broker_error(
    venue: Venue, error: BaseException, answer: Answer, *, submit: bool, now: datetime
) -> BrokerError:
    """The one way in which this call failed. For a submit: what may be done with the order."""
    if not answer.sent:
        # ccxt itself would not make the request: sending it again would not help.
        text = f"{venue.name} could not be asked: {_short(error)}"
        return OrderRejected("invalid", text) if submit else NotSent(text)
    if never_left(error):
        return NotSent(f"{venue.name} could not be reached.")
    words = said(venue, answer.text)
    rule = rule_of(venue, words)
    if rule is None:
        if answer.status == 404 and not submit:
            return Refusal(f"{venue.name} does not know this question.")
        if answer.status in {418, 429} and (words or not submit):
            return RateLimited(f"{venue.name} takes no more requests for now.")
        if answer.status == 401 and venue.id == "coinbase":
            return AuthFailed(_auth(venue, "Unauthorized"))
        return OutcomeUnknown(f"{venue.name}: {words or _short(error)}")
    return _ruled(venue, rule, words.split("\n")[0], answer, submit=submit, now=now)


def _ruled(
    venue: Venue, rule: Rule, words: str, answer: Answer, *, submit: bool, now: datetime
) -> BrokerError:
    raw = (answer.text or "")[:RAW_MAX]
    match rule.kind:
        case Kind.AUTH:
            return AuthFailed(_auth(venue, words))
        case Kind.PERMISSION:
            sentence = permission_words(venue, words)
            if submit:
                return OrderRejected("broker_permission", sentence, raw)
            return AuthFailed(sentence)
        case Kind.RATE:
            wait = timedelta(minutes=15) if "lockout" in words else timedelta(seconds=15)
            return RateLimited(f"{venue.name} takes no more requests for now: {words}.", now + wait)
        case Kind.NONCE:
            return NotSent(
                f"{venue.name} refused the call as out of turn ({words}): another program uses the "
                "same key. Make a key for SpeedTrade alone."
            )
        case Kind.CLOCK:
            return ClockOff(
                f"{venue.name} refused the call as too early or too late ({words}): the clock of "
                "this machine is off."
            )
        case Kind.TWIN if submit:
            return DuplicateClientOrderId(words)
        case Kind.GONE if not submit:
            return Gone(f"{venue.name}: {words}")
        case Kind.REFUSED if submit:
            sentence = rule.words.format(venue=venue.name, said=words)
            return OrderRejected(rule.code or "broker_rejected", sentence, raw)
        case Kind.REFUSED:
            return Refusal(f"{venue.name}: {words}")
        case _:
            return OutcomeUnknown(f"{venue.name}: {words}")


def permission_words(venue: Venue, words: str) -> str:
    """For the owner of a key that may not do what was asked."""
    return (
        f"The key may not do this at {venue.name} ({words}). Give it the rights to read balances "
        "and orders and to place and cancel orders, or connect another key."
    )


def _auth(venue: Venue, words: str) -> str:
    return (
        f"{venue.name} does not take the key ({words}): it is wrong, expired or deleted. "
        "Connect a new one."
    )


def _short(error: BaseException) -> str:
    """The kind of an error and no more: its text may carry an address with a signature in it."""
    return type(error).__name__
