"""What each code of the catalogue means, for its page: one or two sentences and where more is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Meaning:
    """Why somebody meets this problem; `learn` names a page of `docs/concepts`, or is empty."""

    text: str
    learn: str = ""


MEANINGS: dict[str, Meaning] = {
    "invalid": Meaning("One or more fields are missing, or hold something that they cannot hold."),
    "not_authenticated": Meaning("This is for people who are logged in. A session may have ended."),
    "invalid_credentials": Meaning(
        "The two do not belong together. For safety it is never said which of them is wrong."
    ),
    "mfa_required": Meaning(
        "The password was right. Who has set up a second factor logs in with both, scripts too."
    ),
    "second_factor_missing": Meaning(
        "Whoever works at the support desk or trades real money logs in with more than a password."
    ),
    "invalid_token": Meaning(
        "A token lives for half an hour, and ends early on a new password or when it is revoked."
    ),
    "invalid_key": Meaning(
        "It is unknown, expired, revoked, used from an address that it does not name, or its "
        "owner's account is closed.",
        "key",
    ),
    "scope_missing": Meaning("Whoever made the key let it look and not act.", "key"),
    "key_not_allowed": Meaning(
        "Log-ins, passwords, limits, keys and accounts at brokers stay with their owner.", "key"
    ),
    "permission_denied": Meaning("You are known, but this is for others. Nothing was changed."),
    "csrf_failed": Meaning(
        "Each form carries a secret of your session, so that no other site can send it for you. "
        "This one was missing or old."
    ),
    "not_found": Meaning("There is nothing at this address for you."),
    "method_not_allowed": Meaning("The address exists, but not for this method."),
    "conflict": Meaning("Somebody, or the market, was faster: what you saw is not so any more."),
    "rate_limited": Meaning(
        "Everybody gets the same number of requests per minute, so that one cannot slow down all."
    ),
    "unsupported_media_type": Meaning("The API reads JSON and nothing else."),
    "not_acceptable": Meaning("The API answers in JSON, and the request asked for something else."),
    "too_large": Meaning("No request here needs more than a few kilobytes."),
    "unavailable": Meaning("The database or another part does not answer. What is stored is safe."),
    "server_error": Meaning("This is a fault of ours and not of yours. It has been written down."),
    "unknown_symbol": Meaning("A symbol is the short name of a stock or a coin.", "quote"),
    "idempotency_mismatch": Meaning(
        "A key names one intent, so that sending it twice buys once. It cannot name two.", "order"
    ),
    "client_order_id_taken": Meaning("It names one order of yours for all time.", "order"),
    "order_type_unsupported": Meaning("The broker of this account has other types.", "broker"),
    "order_final": Meaning("It was filled, canceled, expired or refused before.", "order"),
    "order_busy": Meaning("The broker was asked to change it and has not answered yet.", "order"),
    "replace_unsupported": Meaning("In its present state it has no successor.", "order"),
    "trading_halted": Meaning(
        "The people who run this house, or its guard, have halted all trading.", "order"
    ),
    "account_not_active": Meaning("It is frozen or being set up: new orders are refused.", "order"),
    "account_blind": Meaning(
        "We could not see what becomes of an order, so none is sent.", "broker"
    ),
    "instrument_not_at_broker": Meaning(
        "Each broker trades what it trades; the rest would only be refused there.", "broker"
    ),
    "broker_not_offered": Meaning("This house has not set that broker up.", "broker"),
    "exchange_not_offered": Meaning(
        "Each exchange is tried out here before it is let in.", "broker"
    ),
    "mode_not_offered": Meaning(
        "Paper needs a market for tests at the broker, and not every exchange has one.", "broker"
    ),
    "live_not_confirmed": Meaning(
        "Orders of a live account move real money, so nobody connects one by the way.", "broker"
    ),
    "cannot_connect": Meaning("Something about the account or its key cannot be right.", "broker"),
    "already_connected": Meaning(
        "Two accounts with one key would count every fill twice, so a key serves one.", "broker"
    ),
    "too_many_accounts": Meaning("One person connects a limited number of accounts.", "broker"),
    "credential_unreadable": Meaning(
        "Keys are stored encrypted. This one was disconnected, or sealed with a secret that this "
        "house has not got any more.",
        "broker",
    ),
    "instrument_not_tradable": Meaning("It can be looked at, not bought or sold.", "order"),
    "symbol_halted": Meaning("Trading in this one symbol is halted for now.", "order"),
    "market_closed": Meaning("An order that must fill at once needs an open market.", "order"),
    "quote_stale": Meaning(
        "The last price is too old to trade on: nobody knows what it would cost now.", "quote"
    ),
    "qty_off_grid": Meaning("Each symbol is traded in steps, such as 1 or 0.0001.", "order"),
    "qty_too_small": Meaning("Each symbol has a least quantity or a least value.", "order"),
    "price_off_grid": Meaning("Prices of a symbol move in ticks, such as one cent.", "order"),
    "order_notional_limit": Meaning(
        "It guards against one zero too many. The house has a limit, and you may set a lower one.",
        "order",
    ),
    "day_notional_limit": Meaning(
        "What you may buy in one day has an upper limit: the house's, or your own lower one.",
        "order",
    ),
    "price_collar": Meaning(
        "A limit far beyond the market is nearly always a slip, so it is refused.", "order"
    ),
    "too_many_symbols": Meaning(
        "One live connection follows a limited number of symbols.", "quote"
    ),
    "too_many_open_orders": Meaning("Orders that wait are limited in number.", "order"),
    "insufficient_buying_power": Meaning(
        "Buying power is your cash without what your open orders hold. This would need more.",
        "ledger",
    ),
    "insufficient_position": Meaning(
        "You do not hold that many, or other orders to sell hold them already.", "position"
    ),
    "position_limit": Meaning("One holding may only be worth so much.", "position"),
    "insufficient_cash": Meaning("Open orders hold a part of your cash until they end.", "ledger"),
}
