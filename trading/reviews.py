"""The review: what would be sent, said once more, with a token that only its reader can confirm.

The token is signed and carries the intent, the account, the price that was shown and the key that
makes the order happen once, however often it is confirmed.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core import signing

from accounts.models import BrokerageAccount, User
from marketdata.domain.quotes import Quote
from speedtrade.lib.errors import InvalidInput
from speedtrade.lib.money import ZERO, plain, times
from trading.cautions import far_limit
from trading.desks import Desk, Verdict, judge
from trading.domain.estimates import Estimate
from trading.domain.orders import Changes, OrderIntent, OrderType, Side, TimeInForce
from trading.domain.risk import Terms
from trading.models import Order
from trading.selectors.orders import order_twin

SALT = "trading.review"
HELD = "hold"  # what a page says of a button that was held


@dataclass(frozen=True, slots=True)
class Question:
    """Something to agree to with a tick before the order goes: `code` far_limit or twin."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What a token says: the intent that was reviewed, at which price, and what was asked.

    `waits` is whether the order was said to wait for the market; None in a token of before that.
    """

    account_id: int
    key: str
    intent: OrderIntent
    price: Decimal
    questions: frozenset[str]
    expired: bool
    waits: bool | None


@dataclass(frozen=True, slots=True)
class Review:
    """A reviewed intent. `old_price` is set when it is shown again because the price has moved.

    `turned`: the market has opened or closed since the page before, which said otherwise.
    A `large` one is confirmed on purpose; `mistyped` is what was typed instead when it was not.
    """

    intent: OrderIntent
    terms: Terms
    estimate: Estimate
    buying_power_after: Decimal
    questions: tuple[Question, ...]
    token: str
    key: str
    price: Decimal
    old_price: Decimal | None
    expired: bool
    turned: bool
    large: bool
    mistyped: str | None = None

    @property
    def again(self) -> bool:
        """Whether this is a second look at what was confirmed: something of it has changed."""
        return self.old_price is not None or self.expired or self.turned


def review_make(
    *,
    desk: Desk,
    intent: OrderIntent,
    user: User,
    asked: Asked | None = None,
    waits: bool | None = None,
) -> Review:
    """Review an intent at its desk; `asked` is the token that was confirmed, if one was.

    `waits`: whether the page before said that the order would wait, if it said anything.
    Raises Denied with the first check that refuses it.
    """
    said = asked.waits if asked else waits
    verdict = judge(desk, intent)
    if verdict.denial is not None:
        raise verdict.denial
    terms, estimate, after = _complete(verdict)
    questions = (*_far(desk, intent, terms), *_twin(desk, intent))
    key = asked.key if asked else uuid.uuid4().hex
    price = terms.reference_price
    moved = asked is not None and _drifted(asked.price, price)
    return Review(
        intent=intent,
        terms=terms,
        estimate=estimate,
        buying_power_after=after,
        questions=questions,
        token=_sign(desk, intent, key, price, questions),
        key=key,
        price=price,
        old_price=asked.price if asked and moved else None,
        expired=asked.expired if asked else False,
        turned=said not in (None, desk.waits),
        large=desk.account.is_live and terms.notional >= held_from(user),
    )


def _complete(verdict: Verdict) -> tuple[Terms, Estimate, Decimal]:
    """The parts of a verdict that passed: with terms there is a price, so there is an estimate."""
    if verdict.terms is None or verdict.estimate is None or verdict.buying_power_after is None:
        raise AssertionError("an intent that passed the checks has terms and an estimate")
    return verdict.terms, verdict.estimate, verdict.buying_power_after


def _drifted(old: Decimal, new: Decimal) -> bool:
    return abs(new - old) > old * settings.REVIEW_PRICE_DRIFT


def _far(desk: Desk, intent: OrderIntent, terms: Terms) -> tuple[Question, ...]:
    """Whatever the checks ask, in the page's words, which name the numbers."""
    words = far_limit(desk, intent, terms.reference_price)
    return tuple(Question("far_limit", words or text) for text in terms.questions)


def _twin(desk: Desk, intent: OrderIntent) -> tuple[Question, ...]:
    twin = order_twin(account=desk.account, intent=intent, now=desk.now)
    if twin is None:
        return ()
    seconds = max(int((desk.now - twin.created_at).total_seconds()), 1)
    ago = f"{seconds} second{'s' if seconds > 1 else ''} ago"
    return (Question("twin", f"You placed this very order {ago}. Place it a second time?"),)


def unanswered(review: Review, asked: Asked, *, agreed: bool) -> bool:
    """Whether a question is open that the confirmed token had not asked, or nobody ticked."""
    answered = asked.questions if agreed else frozenset()
    return any(question.code not in answered for question in review.questions)


# ── no review ────────────────────────────────────────────────────────────────
def skips_reviews(account: BrokerageAccount, user: User) -> bool:
    """Whether the user wants no review of small orders here. Real money is always reviewed."""
    return user.review_below > 0 and not account.is_live


def may_skip(review: Review, user: User) -> bool:
    """Whether what was reviewed is small, and nothing about it is to be asked."""
    return review.terms.notional < user.review_below and not review.questions


# ── a deliberate confirm ─────────────────────────────────────────────────────
def held_from(user: User) -> Decimal:
    """What a live order is worth, at least, for which a press of the button is not enough."""
    return settings.HOLD_TO_CONFIRM_FROM if user.hold_from is None else user.hold_from


def change_is_large(order: Order, changes: Changes, quote: Quote | None, user: User) -> bool:
    """Whether an order with other terms is one to confirm on purpose: its whole new total counts.

    Without a price nobody can say that it is small.
    """
    if not order.brokerage_account.is_live:
        return False
    price = changes.limit_price or order.limit_price
    if price is None and quote is not None:
        price = quote.ask if order.side == Side.BUY else quote.bid
    qty = changes.qty or order.qty
    return price is None or qty is None or times(qty, price) >= held_from(user)


@dataclass(frozen=True, slots=True)
class Proof:
    """How a review was confirmed: with the button held, or with a word typed."""

    held: bool
    typed: str

    @classmethod
    def of(cls, posted: Mapping[str, Any]) -> "Proof":
        """From `confirmed` and `word`, as the page of a review sends them."""
        return cls(posted.get("confirmed") == HELD, str(posted.get("word", ""))[:40])

    def holds(self, symbol: str) -> bool:
        """Whether nobody does this by a slip of the hand: held, or the symbol typed in any case."""
        return self.held or self.typed.strip().upper() == symbol.upper()


# ── the token ────────────────────────────────────────────────────────────────
def _sign(
    desk: Desk, intent: OrderIntent, key: str, price: Decimal, questions: tuple[Question, ...]
) -> str:
    return signing.dumps(
        {
            "user": desk.account.user_id,
            "account": desk.account.pk,
            "key": key,
            "price": plain(price),
            "asked": [question.code for question in questions],
            "waits": desk.waits,
            "intent": intent_values(intent),
        },
        salt=SALT,
    )


def intent_values(intent: OrderIntent) -> dict[str, str]:
    """The intent as text, field by field; what is not set is absent."""
    values = {
        "symbol": intent.symbol,
        "side": intent.side.value,
        "order_type": intent.order_type.value,
        "time_in_force": intent.time_in_force.value,
        "asset_type": intent.asset_type or "",
        "qty": plain(intent.qty) if intent.qty is not None else "",
        "notional": plain(intent.notional) if intent.notional is not None else "",
        "limit_price": plain(intent.limit_price) if intent.limit_price is not None else "",
    }
    return {name: value for name, value in values.items() if value}


def review_read(token: str, *, user: User) -> Asked:
    """What a token of this user says, `expired` or not; raises InvalidInput for any other token."""
    try:
        values = signing.loads(token, salt=SALT, max_age=settings.REVIEW_CLIENT_LIFETIME)
        expired = _expired(token)
    except signing.BadSignature as error:
        raise InvalidInput(
            "This review is not valid any more. Go back to the ticket and review the order again."
        ) from error
    if values["user"] != user.pk:
        raise InvalidInput("This review belongs to another log-in. Review the order again.")
    return Asked(
        account_id=values["account"],
        key=values["key"],
        intent=_intent(values["intent"]),
        price=Decimal(values["price"]),
        questions=frozenset(values["asked"]),
        expired=expired,
        waits=values.get("waits"),
    )


def _expired(token: str) -> bool:
    try:
        signing.loads(token, salt=SALT, max_age=settings.REVIEW_LIFETIME)
    except signing.SignatureExpired:
        return True
    return False


def _intent(values: Mapping[str, Any]) -> OrderIntent:
    """Our own signed text, back as an intent."""

    def number(name: str) -> Decimal | None:
        return Decimal(values[name]) if name in values else None

    return OrderIntent(
        symbol=values["symbol"],
        side=Side(values["side"]),
        order_type=OrderType(values["order_type"]),
        time_in_force=TimeInForce(values["time_in_force"]),
        qty=number("qty"),
        notional=number("notional"),
        limit_price=number("limit_price"),
        asset_type=values.get("asset_type"),
    )


def order_by_key(*, user: User, key: str) -> Order | None:
    """The order that a confirmed review has become, whoever asks a second time."""
    return Order.objects.filter(placed_by=user, intent_key=f"key:{key}").first()


def hold_beyond(review: Review) -> Decimal:
    """What is put on hold on top of the estimate while the order is open: room for the price."""
    if review.intent.side == Side.SELL:
        return ZERO
    return max(review.terms.hold - review.estimate.total, ZERO)
