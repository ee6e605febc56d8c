"""What the risk checks need to know of an account, an instrument and the house."""

from datetime import datetime
from decimal import Decimal
from typing import Final, TypedDict

from django.conf import settings
from django.db.models import (
    BigIntegerField,
    Case,
    Count,
    DateTimeField,
    F,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from accounts.models import AccountStatus, BrokerageAccount, BrokerKind
from marketdata.domain.quotes import Quote
from marketdata.hours import market_hours
from marketdata.models import AssetType, Instrument
from portfolio.models import LedgerKind
from portfolio.services.books import Books
from speedtrade.lib.compiled import Compiled, Given
from speedtrade.lib.money import ZERO
from trading.brokers.capabilities import caps_of
from trading.domain.orders import OrderState, Side
from trading.domain.risk import Funds, Limits, Market, Rules, Switches, Venue
from trading.models import (
    BrokerLink,
    Order,
    TradingHalt,
)
from trading.selectors.orders import OPEN_VALUES

DEAD_VALUES = [OrderState.REJECTED.value]


class Asked(TypedDict):
    """The fields of Funds that come from orders."""

    day_notional: Decimal
    open_orders: int
    buying_qty: Decimal
    buying_notional: Decimal


def funds_now(
    *,
    account: BrokerageAccount,
    instrument: Instrument,
    now: datetime,
    without: Order | None = None,
    hold: Decimal = ZERO,
) -> tuple[Funds, Books]:
    """What the account has free and has asked for today. Exact only under the account's lock.

    `without`: an order that is about to be replaced, whose `hold` becomes free and of which
    only what it bought today counts.
    """
    books = Books(account)
    cash_key, shares_key = (
        (LedgerKind.CASH, account.currency),
        (LedgerKind.POSITION, instrument.symbol),
    )
    books.load([cash_key, shares_key], make=False)
    cash, shares = books.seen(*cash_key), books.seen(*shares_key)
    buying = hold if without is not None and without.side == Side.BUY else ZERO
    selling = hold - buying
    funds = Funds(
        buying_power=cash.balance - cash.reserved + buying,
        free_qty=shares.balance - shares.reserved + selling,
        position_qty=shares.balance,
        **asked_for(account, instrument, now, without=without),
    )
    return funds, books


def _asked() -> QuerySet[Order, tuple[Decimal | None, int, Decimal | None, Decimal | None]]:
    today = Q(created_at__gte=Given("midnight", DateTimeField()))
    leaving = Q(pk=Given("without", BigIntegerField()))
    replaced = Q(state=OrderState.REPLACED)
    is_open = Q(state__in=OPEN_VALUES) & ~leaving
    buying = is_open & Q(side=Side.BUY, instrument=Given("instrument_id", BigIntegerField()))
    return (
        Order.objects.filter(
            is_open | today, brokerage_account=Given("account_id", BigIntegerField())
        )
        .order_by()
        .values("brokerage_account")
        .annotate(
            # Of an order that another takes the place of only what it bought itself.
            day=Sum(
                Case(When(leaving | replaced, then="filled_notional"), default="risk_notional"),
                filter=today & Q(side=Side.BUY) & ~Q(state__in=DEAD_VALUES),
            ),
            open=Count("id", filter=is_open),
            buying_qty=Sum(F("qty") - F("filled_qty"), filter=buying),
            buying_notional=Sum(F("notional") - F("filled_notional"), filter=buying),
        )
        .values_list("day", "open", "buying_qty", "buying_notional")
    )


_ASKED = Compiled(_asked)
_NOTHING_ASKED = (None, 0, None, None)


def asked_for(
    account: BrokerageAccount, instrument: Instrument, now: datetime, without: Order | None = None
) -> Asked:
    """What the account's orders ask for: today's purchases, and what is open. One query.

    Units of open purchases are those still to come; of a purchase for an amount of money it is the
    money that is left. An order that is being replaced counts beside its successor, because until
    the broker answers either may be the one that works on; `without` is an order that
    counts for what it bought today alone.
    """
    rows = _ASKED.tuples(
        account_id=account.pk,
        instrument_id=instrument.pk,
        midnight=now.replace(hour=0, minute=0, second=0, microsecond=0),
        without=without.pk if without else 0,
    )
    day, count, qty, notional = rows[0] if rows else _NOTHING_ASKED
    return Asked(
        day_notional=day or ZERO,
        open_orders=count,
        buying_qty=max(qty or ZERO, ZERO),
        buying_notional=max(notional or ZERO, ZERO),
    )


def market_now(instrument: Instrument, quote: Quote | None, now: datetime) -> Market:
    """The quote as the risk checks see it."""
    return Market(
        bid=quote.bid if quote else None,
        ask=quote.ask if quote else None,
        last=quote.last if quote else None,
        fresh=quote is not None and not quote.is_stale(now, settings.QUOTE_STALE_AFTER),
        is_open=market_hours().is_open(instrument.asset_type, now),
    )


def rules_of(instrument: Instrument) -> Rules:
    crypto = instrument.asset_type == AssetType.CRYPTO
    return Rules(
        symbol=instrument.symbol,
        price_tick=instrument.price_tick,
        qty_step=instrument.qty_step,
        min_qty=instrument.min_qty,
        min_notional=instrument.min_notional,
        tradable=instrument.tradable,
        halted=instrument.halted_at is not None,
        fee_rate=settings.CRYPTO_FEE_RATE if crypto else settings.STOCK_FEE_RATE,
    )


def limits(account: BrokerageAccount | None = None) -> Limits:
    """The caps of the settings, and of an account's owner where they set a lower one."""
    own = (account.order_cap, account.day_cap) if account else (None, None)
    order, own_order = _lower(settings.RISK_MAX_ORDER_NOTIONAL, own[0])
    day, own_day = _lower(settings.RISK_MAX_DAY_NOTIONAL, own[1])
    return Limits(
        max_order_notional=order,
        max_day_notional=day,
        max_position_notional=settings.RISK_MAX_POSITION_NOTIONAL,
        max_open_orders=settings.RISK_MAX_OPEN_ORDERS,
        collar_warn=settings.RISK_COLLAR_WARN,
        collar_deny=settings.RISK_COLLAR_DENY,
        market_band=settings.RISK_MARKET_BAND,
        own_order=own_order,
        own_day=own_day,
    )


def _lower(house: Decimal, own: Decimal | None) -> tuple[Decimal, bool]:
    """(the cap that holds, whether it is the owner's)."""
    return (own, True) if own is not None and own < house else (house, False)


def switches_now(account: BrokerageAccount, now: datetime, halted: str | None = None) -> Switches:
    """Whether trading is stopped, for all or for this account, and what its broker takes.

    `halted` is the reason of the kill switch where the caller has read it (`halt_reason`).
    """
    if halted is None:
        halt = halt_open()
        halted = halt.reason if halt else ""
    reason = ""
    if account.status != AccountStatus.ACTIVE:
        reason = f"The account is {account.get_status_display().lower()}"
        reason += f": {account.status_reason}" if account.status_reason else "."
    elif account.stopped_at:
        reason = "You have stopped this account: let it go on in its settings."
    return Switches(
        halted=halted,
        account=reason,
        blind=blind_words(account, now),
        venue=venue_of(account),
    )


BLIND: Final = "We have had no word from the broker for a while, so no new orders. Cancels work."


def blind_words(account: BrokerageAccount, now: datetime) -> str:
    """Why we cannot see what goes on in an account at a broker; nothing where we can."""
    if account.broker == BrokerKind.PAPER:
        return ""
    heard = BrokerLink.objects.filter(brokerage_account=account).values_list("orders_at", flat=True)
    at = heard.first()
    return "" if at is not None and now - at <= settings.BLIND_AFTER else BLIND


def venue_of(account: BrokerageAccount) -> Venue | None:
    """What the account's broker takes; None for the paper market, which takes what is offered."""
    if account.broker == BrokerKind.PAPER:
        return None
    caps = caps_of(account.broker, account.exchange)
    return Venue(
        name=account.venue,
        asset_types=caps.asset_types,
        order_types=caps.order_types,
        times_in_force=caps.times_in_force,
        notional=caps.notional,
        fraction_tifs=caps.fraction_tifs,
        currency=account.currency,
    )


_HALT = Compiled(lambda: TradingHalt.objects.filter(lifted_at__isnull=True).order_by("-id")[:1])


def halt_open() -> TradingHalt | None:
    """The kill switch that is on, or None. A row: it is read with Redis and brokers away."""
    return _HALT.first()


def halt_reason() -> Combinable:
    """The reason of the kill switch that is on, else "": for a query that reads something else."""
    reasons = TradingHalt.objects.filter(lifted_at__isnull=True).order_by("-id").values("reason")
    return Coalesce(Subquery(reasons[:1]), Value(""))
