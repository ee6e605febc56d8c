"""Who comes to the doors of a simulated house, and what they must be told there."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from django.conf import settings

from accounts.models import BrokerageAccount, User
from marketdata import quote_store
from marketdata.models import Instrument
from portfolio.models import Direction
from portfolio.services.transfers import transfer_make
from speedtrade.lib.errors import DomainError
from speedtrade.lib.money import ZERO
from trading.domain.orders import Changes, OrderIntent, OrderType, Side, TimeInForce
from trading.models import Order
from trading.services.cancels import orders_cancel_all
from trading.services.closing import position_close
from trading.services.orders import order_cancel, order_place
from trading.services.replacements import order_replace
from trading.simulation.market import Listing
from trading.simulation.trace import Violation

if TYPE_CHECKING:
    from trading.simulation.world import World

D = Decimal
#: What people do, and how likely: each seed stretches and shrinks the shares.
ACTS: Final = {"place": 12, "cancel": 4, "replace": 3, "again": 2, "other": 1, "transfer": 2}
ACTS_RARE: Final = {"close": 0.7, "cancel_all": 0.3, "switch": 1}


@dataclass(frozen=True, slots=True)
class Cast:
    """Everybody and everything that was there before the first step."""

    members: dict[str, tuple[User, BrokerageAccount]]
    staff: User
    instruments: dict[str, Instrument]


@dataclass
class Request:
    """An order as it was asked for, so that it can be asked for again."""

    name: str
    intent: OrderIntent
    key: str | None
    order: int | None = None  # which it became, as far as its sender knows
    refused: bool = False


@dataclass
class Member:
    """One user with an account, and what they remember."""

    name: str
    user: User
    account: BrokerageAccount
    requests: list[Request] = field(default_factory=list)
    moved: Decimal = ZERO  # net cash of accepted transfers
    transfers: list[tuple[str, Direction, Decimal]] = field(default_factory=list)


class People:
    """The members of the house. Each act returns words for the trace."""

    def __init__(self, world: "World", cast: Cast) -> None:
        self.world, self.instruments = world, cast.instruments
        self.members = {name: Member(name, *pair) for name, pair in cast.members.items()}
        luck = world.dice["habits"]
        weights = {name: share * luck.uniform(0.2, 2) for name, share in ACTS.items()}
        rare = {name: share * luck.choice([0, 1, 2]) for name, share in ACTS_RARE.items()}
        self._acts = list(weights | rare)
        self._weights = list((weights | rare).values())

    def act(self) -> str:
        luck = self.world.dice["people"]
        name = luck.choices(self._acts, self._weights)[0]
        return self.act_as(name, luck.choice(list(self.members)))

    def act_as(self, name: str, who: str) -> str:
        """One of ACTS or ACTS_RARE, by this member."""
        member = self.members[who]
        came = self.world.guarded(getattr(self, f"_{name}"), member)
        return f"{name} {member.name}: {came}"

    # ── orders ───────────────────────────────────────────────────────────────
    def _place(self, member: Member) -> str:
        luck = self.world.dice["place"]
        one = luck.choice(self.world.listings)
        if not self.world.faults.strike("stale"):
            self.world.market.move(one, self.world.now)
        number = len(member.requests) + 1
        kind = luck.choices(["key", "id", "both", "neither"], [6, 2, 1, 1])[0]
        chosen = f"{member.name}-{number}" if kind in {"id", "both"} else None
        intent = self._intent(member, one, chosen)
        # Keys are the same words for everybody: they are each user's own.
        key = f"monday {number}" if kind in {"key", "both"} else None
        request = Request(f"{member.name}/{number}", intent, key)
        member.requests.append(request)
        words = f"{intent.side} {intent.qty or intent.notional} {intent.symbol} "
        words += f"{intent.limit_price or 'market'} {intent.time_in_force}"
        return f"{words}: {self.world.guarded(self._ask, member, request)}"

    def _ask(self, member: Member, request: Request) -> str:
        """Post it. Whoever does not hear the answer posts it again, with the same key."""
        intent, quote = request.intent, quote_store.quote_get(request.intent.symbol)
        heard = False
        try:
            placed = order_place(
                account=BrokerageAccount.objects.get(pk=member.account.pk),
                instrument=Instrument.objects.get(symbol=intent.symbol),
                intent=intent,
                quote=quote,
                key=request.key,
                placed_by=member.user,
                source="api",
                now=self.world.now,
            )
            heard = True
        except DomainError as refusal:
            heard = request.refused = True
            if refusal.code == "idempotency_mismatch":
                raise Violation("I4 a key is its user's", f"{request.name} is new") from refusal
            raise
        finally:
            if not heard and (request.key or intent.client_order_id):
                self.world.at(2, "retry", member.name, member.requests.index(request))
        self._mine(member, request, placed.order, placed.created)
        return "placed" if placed.created else "known"

    def _mine(self, member: Member, request: Request, order: Order, created: bool) -> None:
        """What any answer must be: their own order, once, within the terms that were asked for."""
        if order.brokerage_account_id != member.account.pk:
            raise Violation("I14 own rows only", f"{request.name} was given another's order")
        asked, got = request.intent, order
        if (asked.side, asked.qty, asked.notional) != (got.side, got.qty, got.notional):
            raise Violation("I4 one intent, one order", f"{request.name} became another order")
        if request.order not in {None, order.pk} or (request.order is not None and created):
            raise Violation("I4 one intent, one order", f"{request.name} became two orders")
        request.order = order.pk
        if created:
            self._bound(request, order)

    def _bound(self, request: Request, order: Order) -> None:
        """The worst price: the limit, or five per cent from a fresh quote, to the tick."""
        intent, quote = request.intent, self.world.market.last.get(request.intent.symbol)
        if intent.limit_price is not None:
            if order.price_bound != intent.limit_price:
                raise Violation("the bound is the limit", f"{order.price_bound}")
            return
        is_open = self.world.hours.is_open(order.instrument.asset_type, self.world.now)
        if quote is None or (is_open and self.world.now - quote.as_of > settings.QUOTE_STALE_AFTER):
            raise Violation("market orders need a fresh quote", request.name)
        tick = Fraction(order.instrument.price_tick)
        share = Fraction(settings.RISK_MARKET_BAND)
        if intent.side == Side.BUY:
            right = -(-Fraction(quote.ask) * (1 + share) // tick) * tick
        else:
            right = Fraction(quote.bid) * (1 - share) // tick * tick
        if Fraction(order.price_bound) != right:
            raise Violation("the bound is the band", f"{order.price_bound}, expected {right}")

    def retry(self, name: str, index: int) -> str:
        member = self.members[name]
        return self.world.guarded(self._ask, member, member.requests[index])

    def _again(self, member: Member) -> str:
        """The same request once more: the first order, whatever has become of it."""
        known = [one for one in member.requests if one.order and (one.key or _named(one))]
        if not known:
            return "nothing yet"
        return self.world.guarded(self._ask, member, self.world.dice["again"].choice(known))

    def _other(self, member: Member) -> str:
        """Another body under a key that made an order before: refused."""
        known = [one for one in member.requests if one.order and one.key and one.intent.qty]
        if not known:
            return "nothing yet"
        first = self.world.dice["other"].choice(known)
        intent = replace(first.intent, qty=(first.intent.qty or D(0)) * 2)
        try:
            order_place(
                account=member.account,
                instrument=self.instruments[intent.symbol],
                intent=intent,
                quote=quote_store.quote_get(intent.symbol),
                key=first.key,
                placed_by=member.user,
                source="api",
                now=self.world.now,
            )
        except DomainError as refusal:
            if refusal.code != "idempotency_mismatch":
                raise Violation("I4 one key, one body", refusal.code) from refusal
            return refusal.code
        raise Violation("I4 one key, one body", f"{first.name} was taken with another body")

    def _intent(self, member: Member, one: Listing, name: str | None) -> OrderIntent:
        luck = self.world.dice["intent"]
        held = self.world.checks.books.held(member.account.pk, one.symbol)
        side = Side(luck.choice(["buy", "buy", "sell"] if not held else ["buy", "sell", "sell"]))
        price = one.start * one.tick
        worth = D(luck.choice([20, 333, 5_000, 20_000, 60_000])) + D(luck.randint(0, 9999)) / 100
        qty: Decimal | None = (worth / price).quantize(one.step)
        if side == Side.SELL and held and luck.random() < 0.7:
            qty = held if luck.random() < 0.4 else (held / luck.randint(2, 5)).quantize(one.step)
        if qty and qty > 2 and luck.random() < 0.5:
            qty = qty.to_integral_value()
        notional = None
        if luck.random() < 0.2:
            qty, notional = None, worth
        market, limit = self.world.market, None
        if luck.random() < 0.6:
            near = market.last[one.symbol].ask if one.symbol in market.last else price
            limit = near + one.tick * luck.randint(-one.start // 40, one.start // 40)
        return OrderIntent(
            symbol=one.symbol,
            side=side,
            order_type=OrderType.LIMIT if limit else OrderType.MARKET,
            time_in_force=TimeInForce(
                luck.choice(["day", "day", "gtc", "gtc", "ioc", "ioc", "fok"])
            ),
            qty=qty,
            notional=notional,
            limit_price=limit,
            asset_type=one.asset_type,
            client_order_id=name,
        )

    def _any(self, member: Member) -> Order | None:
        """Mostly an order that is open, now and then one that is over."""
        luck = self.world.dice["which"]
        known = self.world.checks.orders_of(member.account.pk, luck.random() < 0.85)
        if not known:
            return None
        return Order.objects.select_related("instrument").get(pk=luck.choice(known))

    def _cancel(self, member: Member) -> str:
        order = self._any(member)
        if order is None:
            return "nothing yet"
        over = self.world.checks.is_over(order.pk)
        order_cancel(order=order, actor=member.user, source="api", now=self.world.now)
        if over:
            raise Violation("I10 what is over stays over", "the cancel of a final order was taken")
        return self.world.checks.orders.name(order.pk)

    def _cancel_all(self, member: Member) -> str:
        done = orders_cancel_all(account=member.account, actor=member.user, now=self.world.now)
        return f"{done.asked} asked, {len(done.refused)} refused"

    def _replace(self, member: Member) -> str:
        order = self._any(member)
        if order is None:
            return "nothing yet"
        luck = self.world.dice["replace"]
        tick = order.instrument.price_tick
        limit = order.limit_price and order.limit_price + tick * luck.randint(-50, 50)
        total = order.qty and (order.qty * luck.choice([2, D("1.5")])).quantize(
            order.instrument.qty_step
        )
        changes = Changes(
            qty=total if luck.random() < 0.5 else None,
            limit_price=max(limit, tick) if limit and luck.random() < 0.7 else None,
            time_in_force=TimeInForce(luck.choice(["day", "gtc"])) if luck.random() < 0.3 else None,
        )
        quote = quote_store.quote_get(order.instrument.symbol)
        order_replace(
            order=order,
            changes=changes,
            quote=quote,
            actor=member.user,
            source="api",
            now=self.world.now,
        )
        return self.world.checks.orders.name(order.pk)

    def _close(self, member: Member) -> str:
        row = self.world.checks.position_of(member.account.pk)
        if row is None:
            return "nothing held"
        placed = position_close(
            user=member.user, position_id=row, key=None, source="page", now=self.world.now
        )
        return "placed" if placed.created else "known"

    # ── money ────────────────────────────────────────────────────────────────
    def _transfer(self, member: Member) -> str:
        """Cash in or out, or an old transfer's key again, with its amount or another."""
        luck = self.world.dice["transfer"]
        fresh = not member.transfers or luck.random() < 0.7
        if fresh:
            cents = luck.choice([1, 12_345, 5_000_000, 9_000_000, 50_000_000])
            way = luck.choice([Direction.DEPOSIT, Direction.WITHDRAWAL, Direction.WITHDRAWAL])
            key, amount, known = f"tuesday {len(member.transfers) + 1}", D(cents).scaleb(-2), False
        else:
            key, way, amount = luck.choice(member.transfers)
            known = True
        twin = known and luck.random() < 0.5
        free = self.world.checks.free_cash(member.account.pk)
        asked = amount + 1 if twin else amount
        _, made = transfer_make(
            account=member.account,
            direction=way,
            amount=asked,
            key=key,
            requested_by=member.user,
            now=self.world.now,
        )
        if made and known:
            raise Violation("I4 a key moves money once", f"{way} under {key}")
        if twin:
            raise Violation("I4 one key, one body", f"{key} was taken for another amount")
        if made and way == Direction.WITHDRAWAL and amount > free:
            raise Violation("I11 nobody withdraws what is not free", f"{amount} of {free}")
        if made:
            member.transfers.append((key, way, amount))
            member.moved += amount if way == Direction.DEPOSIT else -amount
        return f"{way} {amount} {'made' if made else 'known'}"

    def _switch(self, member: Member) -> str:
        return self.world.switches.off(member.account, member.user)


def _named(request: Request) -> bool:
    return request.intent.client_order_id is not None
