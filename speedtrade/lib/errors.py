"""What can go wrong, said once: both doors translate these and nothing else.

A code is stable and machine-readable (`insufficient_buying_power`), its page lives at
`/problems/insufficient-buying-power`, and `CATALOGUE` holds the words for both.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field of the input."""

    field: str
    code: str
    detail: str


class DomainError(Exception):
    """A refusal with a code of the catalogue, words for a person and an HTTP status."""

    code = "invalid"
    status = 422

    def __init__(
        self,
        detail: str = "",
        *,
        code: str | None = None,
        status: int | None = None,
        errors: Sequence[FieldError] = (),
        retry_after: int | None = None,
    ) -> None:
        self.code = code or self.code
        self.status = status or self.status
        self.detail = detail or title_of(self.code)
        self.errors = tuple(errors)
        self.retry_after = retry_after
        super().__init__(self.detail)


class InvalidInput(DomainError):
    """The input cannot be understood; nothing was done."""

    code, status = "invalid", 400

    @classmethod
    def field(cls, field: str, detail: str, code: str = "invalid") -> "InvalidInput":
        return cls(detail, errors=[FieldError(field, code, detail)])


class NotFound(DomainError):
    """There is no such thing, or it is not yours: the answer is the same."""

    code, status = "not_found", 404


class Conflict(DomainError):
    """It is too late, or somebody else is at it."""

    code, status = "conflict", 409


class Unavailable(DomainError):
    """A part that this needs is away for the moment; trying again may help."""

    code, status = "unavailable", 503


class InvariantBroken(Exception):
    """A promise of the books does not hold. Never caught to go on: the transaction must die."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A row of the catalogue: a title and what to do about it."""

    title: str
    remedy: str


CATALOGUE: dict[str, Problem] = {
    "invalid": Problem(
        "Something in the request is not valid",
        "Read the message beside each field, correct it and send again.",
    ),
    "not_authenticated": Problem(
        "You are not logged in",
        "Log in, or send a valid access token as 'Authorization: Bearer …'.",
    ),
    "invalid_credentials": Problem(
        "Name or password is wrong",
        "Check both and try again. After five wrong tries wait five minutes.",
    ),
    "mfa_required": Problem(
        "This log-in takes a code as well",
        "Send `otp` beside name and password: a code of your app, or a recovery code.",
    ),
    "second_factor_missing": Problem(
        "This takes a second factor",
        "Set up an authenticator app or a passkey in the settings, under Security. "
        "Then log in with it.",
    ),
    "invalid_token": Problem(
        "The token is not valid any more",
        "Refresh it, or log in again. A refresh token works once.",
    ),
    "invalid_key": Problem(
        "This API key does not work",
        "The message says why. Keys are made and revoked in the settings, under Developers.",
    ),
    "scope_missing": Problem(
        "This API key may only read", 'Make a key that may "Read and trade", and use that one.'
    ),
    "key_not_allowed": Problem(
        "API keys do not open this", "Log in and use an access token, or do it on the page."
    ),
    "permission_denied": Problem("You may not do this", "Ask somebody who may."),
    "csrf_failed": Problem(
        "The page is too old to be sent", "Reload the page and try again; nothing was done."
    ),
    "not_found": Problem(
        "There is no such thing", "Check the address. What belongs to somebody else looks the same."
    ),
    "method_not_allowed": Problem("This cannot be done here", "See the Allow header for what can."),
    "conflict": Problem("It changed in the meantime", "Load it again and decide anew."),
    "rate_limited": Problem(
        "Too many requests", "Wait as many seconds as Retry-After says, then go on."
    ),
    "unsupported_media_type": Problem(
        "The body has an unknown format", "Send JSON with Content-Type: application/json."
    ),
    "not_acceptable": Problem(
        "There is no answer of that kind",
        "Send Accept: application/json, or */*; the document of the API comes as YAML too.",
    ),
    "too_large": Problem("The request is too large", "Send less at once."),
    "unavailable": Problem(
        "A part of SpeedTrade is away for the moment",
        "Try again in a few seconds; the same key makes sure that nothing happens twice.",
    ),
    "server_error": Problem(
        "Something broke on our side", "Try again. If it stays, tell support the request id."
    ),
    "unknown_symbol": Problem(
        "We do not know this symbol", "Search for it: symbols look like AAPL or BTC/USD."
    ),
    "idempotency_mismatch": Problem(
        "This key was used for another request",
        "Use a new key for a new intent. The same key with the same body gives the first answer.",
    ),
    "client_order_id_taken": Problem(
        "This client order id was used for another order", "Give each order an id of its own."
    ),
    "order_type_unsupported": Problem(
        "This order type is not offered here", "Use a market or a limit order."
    ),
    "order_final": Problem(
        "The order is already final", "Nothing can change it any more. Place a new one."
    ),
    "order_busy": Problem(
        "A change of this order is under way", "Wait until it is through, then look again."
    ),
    "replace_unsupported": Problem(
        "This order cannot be changed in place", "Cancel it and place a new one."
    ),
    "trading_halted": Problem(
        "Trading is halted", "Orders can be canceled, not placed, until it resumes."
    ),
    "account_not_active": Problem(
        "This account cannot trade now", "Its page says why. Orders can still be canceled."
    ),
    "account_blind": Problem(
        "The broker does not answer",
        "No new orders until it does; cancels still go out. Try again in a minute.",
    ),
    "instrument_not_at_broker": Problem(
        "This account's broker does not trade that", "Choose another symbol, or another account."
    ),
    "broker_not_offered": Problem(
        "This broker is not offered here",
        "Connect Alpaca for stocks or an exchange for crypto, or use the paper account: no keys.",
    ),
    "exchange_not_offered": Problem(
        "This exchange is not offered here", "The message names those that are."
    ),
    "mode_not_offered": Problem(
        "There is no such market for this broker", "Choose paper or live, as the message says."
    ),
    "live_not_confirmed": Problem(
        "Nobody confirmed that this is real money",
        'Type "live" beside the key, or send confirm_live as true, when you mean it.',
    ),
    "cannot_connect": Problem(
        "The account cannot be connected", "Read the message beside each field and send it again."
    ),
    "already_connected": Problem(
        "This key is connected already",
        "Disconnect it where it is in use, or make a second key at the broker.",
    ),
    "too_many_accounts": Problem(
        "There are too many connected accounts", "Disconnect one that you do not use."
    ),
    "credential_unreadable": Problem(
        "The key of this account cannot be read", "Give the account its key again."
    ),
    "instrument_not_tradable": Problem("This symbol cannot be traded", "Choose another one."),
    "symbol_halted": Problem(
        "This symbol is halted", "Wait until it resumes. Orders can be canceled."
    ),
    "market_closed": Problem(
        "The market is closed", "Use time in force day or gtc: the order waits for the open."
    ),
    "quote_stale": Problem(
        "There is no fresh price", "Wait for the next price or use a limit order."
    ),
    "qty_off_grid": Problem(
        "The quantity does not fit this symbol", "Use a multiple of its quantity step."
    ),
    "qty_too_small": Problem("The order is too small", "Raise it to the symbol's minimum."),
    "price_off_grid": Problem(
        "The price does not fit this symbol", "Use a multiple of its tick size."
    ),
    "order_notional_limit": Problem(
        "The order is worth more than one order may be",
        "Lower it, or split it. A limit of your own is changed in the settings, under Trading.",
    ),
    "day_notional_limit": Problem(
        "Enough was bought for today",
        "Wait until tomorrow, or lower the order. A limit of your own is changed in the settings, "
        "under Trading.",
    ),
    "price_collar": Problem(
        "The limit is too far from the market",
        "Bring it nearer to the price, or use a market order.",
    ),
    "too_many_symbols": Problem("That is too many symbols", "Unsubscribe from some first."),
    "too_many_open_orders": Problem("There are too many open orders", "Cancel some first."),
    "insufficient_buying_power": Problem(
        "There is too little buying power", "Lower the order, cancel another one or add paper cash."
    ),
    "insufficient_position": Problem(
        "There is less to sell than that",
        "Sell at most what the position has free. Short sales are off.",
    ),
    "position_limit": Problem("The position would become too large", "Lower the order."),
    "insufficient_cash": Problem(
        "There is too little cash for that", "Withdraw at most what is not reserved by open orders."
    ),
}


def title_of(code: str) -> str:
    problem = CATALOGUE.get(code)
    return problem.title if problem else code.replace("_", " ").capitalize()
