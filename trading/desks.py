"""What a person sees before an order: the desk of one symbol, and how an intent looks on it.

Everything is read without locks and judged by the very checks that decide later (`risk.assess`): a
page says beforehand what the order would be told. The last word is spoken under the account's lock.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from accounts.models import BrokerageAccount, User
from accounts.selectors import account_for_user
from marketdata import quote_store
from marketdata.domain.quotes import Quote
from marketdata.models import Instrument
from marketdata.selectors import MarketState, instrument_get, market_clock
from portfolio.selectors import cash_free, shares_free
from speedtrade.lib.errors import title_of
from speedtrade.lib.money import ceil_to, times
from trading.domain.estimates import Estimate, estimate, share_in_money, share_in_units
from trading.domain.matching import Offer
from trading.domain.orders import OrderIntent, OrderType, Side
from trading.domain.risk import Denied, Funds, Market, Rules, Switches, Terms, assess
from trading.selectors.facts import asked_for, limits, market_now, rules_of, switches_now


@dataclass(frozen=True, slots=True)
class Desk:
    """One symbol in front of one account, at one moment."""

    account: BrokerageAccount
    instrument: Instrument
    quote: Quote | None
    market: Market
    funds: Funds
    rules: Rules
    switches: Switches
    state: MarketState
    now: datetime

    @property
    def blocked(self) -> str:
        """Why no order can be placed here now, in a sentence; empty where one can."""
        if shut := shut_words(self.switches):
            return shut
        if not self.rules.tradable:
            return title_of("instrument_not_tradable")
        if self.rules.halted:
            reason = self.instrument.halt_reason
            return f"{self.rules.symbol} is halted{': ' + reason if reason else '.'}"
        return ""

    @property
    def waits(self) -> bool:
        """Whether an order would wait for the market to open."""
        return not self.market.is_open

    @property
    def stale(self) -> bool:
        """Whether the price is too old for a market order (while the market is open)."""
        return self.market.is_open and not self.market.fresh

    def offers(self, side: Side) -> list[Offer]:
        """What the other side displays, best first."""
        if self.quote is None:
            return []
        levels = self.quote.asks if side == Side.BUY else self.quote.bids
        return [Offer(n, level.price, level.size) for n, level in enumerate(levels, start=1)]

    def price_for(self, side: Side) -> Decimal | None:
        """What a market order of this side meets first."""
        return self.market.ask if side == Side.BUY else self.market.bid

    def share(self, *, side: Side, share: Decimal, limit: Decimal | None) -> Decimal:
        """Units that a share (0 to 1) of what is free comes to at a limit, or at the market."""
        bound = limit
        price = self.price_for(side)
        if bound is None and price is not None:
            # What the hold will be for, to the tick: the most that fits must pass.
            band = times(price, 1 + limits().market_band)
            bound = ceil_to(band, self.rules.price_tick) if side == Side.BUY else price
        return share_in_units(side, share, self.funds, self.rules, bound)

    def share_of_money(self, share: Decimal) -> Decimal:
        """Dollars that a share (0 to 1) of the buying power can spend."""
        return share_in_money(share, self.funds, self.rules)


def shut_words(switches: Switches) -> str:
    """Why no order of any symbol is taken, in a sentence; empty where they are."""
    if switches.halted:
        return f"Trading is halted: {switches.halted}"
    return switches.account or switches.blind


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an intent looks now: the terms it would get, or why not, and what it comes to."""

    terms: Terms | None
    denial: Denied | None
    estimate: Estimate | None
    buying_power_after: Decimal | None


def desk_get(*, user: User, symbol: str, now: datetime, account_id: int | None = None) -> Desk:
    """The desk of a symbol for an account of the user; raises NotFound, `unknown_symbol`."""
    account = account_for_user(user=user, account_id=account_id)
    return desk_of(account=account, instrument=instrument_get(symbol), now=now)


def desk_of(*, account: BrokerageAccount, instrument: Instrument, now: datetime) -> Desk:
    """The desk of an instrument for an account."""
    quote = quote_store.quote_get(instrument.symbol)
    return Desk(
        account=account,
        instrument=instrument,
        quote=quote,
        market=market_now(instrument, quote, now),
        funds=funds_seen(account=account, instrument=instrument, now=now),
        rules=rules_of(instrument),
        switches=switches_now(account, now),
        state=market_clock(now)[instrument.asset_type],
        now=now,
    )


def funds_seen(*, account: BrokerageAccount, instrument: Instrument, now: datetime) -> Funds:
    """What is free, as `funds_now` says it, for a page: nothing is locked or written."""
    cash, reserved = cash_free(account=account)
    held, held_reserved = shares_free(account=account, symbol=instrument.symbol)
    return Funds(
        buying_power=cash - reserved,
        free_qty=held - held_reserved,
        position_qty=held,
        **asked_for(account, instrument, now),
    )


def judge(desk: Desk, intent: OrderIntent) -> Verdict:
    """The intent at this desk; never raises: a refusal is part of the verdict."""
    terms, denial = None, None
    try:
        caps = limits(desk.account)
        terms = assess(intent, desk.rules, desk.market, desk.funds, caps, desk.switches)
    except Denied as refusal:
        denial = refusal
    likely = _likely(desk, intent)
    after = likely.buying_power_after(desk.funds) if likely else None
    return Verdict(terms, denial, likely, after)


def _likely(desk: Desk, intent: OrderIntent) -> Estimate | None:
    """The estimate, or None where nothing is known to estimate by."""
    if intent.order_type not in (OrderType.MARKET, OrderType.LIMIT):
        return None
    reference = intent.limit_price or desk.price_for(intent.side)
    if reference is None:
        return None
    return estimate(intent, desk.rules, reference, desk.offers(intent.side))
