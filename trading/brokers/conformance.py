"""One matrix of behaviours that every adapter passes, and the table of what each broker can do.

A case is a function over a harness: an adapter, and hands at its vendor. It raises Failed where the
adapter breaks a promise of the interface, and NotHere where the vendor cannot show the behaviour
(the paper market has no network to fail). The tests run all cases against all harnesses.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Literal, Protocol

from trading.brokers.base import (
    AuthFailed,
    Broker,
    BrokerError,
    BrokerOrder,
    BrokerRequest,
    DuplicateClientOrderId,
    IdScope,
    NotCancelable,
    NotSent,
    OrderRef,
    OrderRejected,
    OutcomeUnknown,
    RateLimited,
)
from trading.domain.orders import OrderState

#: What can happen to the next call of a kind; every harness with a network knows all of them.
FaultName = Literal[
    "answer_lost",  # the order is taken, the connection breaks before the answer
    "request_lost",  # the connection breaks, the vendor never had it
    "gateway",  # the order is taken, a gateway answers 504 in HTML
    "garbage",  # the order is taken, the answer is cut in half
    "empty",  # the order is taken, the answer is empty
    "too_many",  # refused by the rate limit, before it counts
    "read_broken",  # the next look-up or list is answered by a gateway
    "hidden",  # the next look-up does not see what is there
]
WORKING = frozenset({OrderState.ACCEPTED, OrderState.NEW, OrderState.PARTIALLY_FILLED})
TWO = Decimal(2)


class Failed(AssertionError):
    """The adapter breaks a promise of the interface."""


class NotHere(Exception):
    """This vendor cannot show the behaviour."""


class Harness(Protocol):
    """One account at one vendor, empty at the beginning, with money for a few orders."""

    broker: Broker

    def request(self, **terms: Any) -> BrokerRequest:
        """An order to buy that rests (two units below the market), with a new client order id."""
        ...

    def ref(self, request: BrokerRequest, **names: Any) -> OrderRef:
        """How our books ask for it; by client order id alone unless `names` say more."""
        ...

    def fill(self, client_order_id: str, qty: Decimal, price: Decimal) -> None:
        """Somebody traded with the order."""
        ...

    def cancel(self, client_order_id: str) -> None:
        """The vendor ends it by itself, or its owner does elsewhere."""
        ...

    def count(self, client_order_id: str) -> int:
        """How many orders the vendor ever took under this id."""
        ...

    def fault(self, name: FaultName) -> None:
        """Let it happen to the next call; raises NotHere."""
        ...

    def down(self) -> None:
        """Nobody listens from now on, for the rest of the case; raises NotHere."""
        ...

    def external(self) -> str:
        """An order that is placed elsewhere: the broker's id of it; raises NotHere."""
        ...

    def too_dear(self) -> BrokerRequest:
        """An order that the account cannot pay; raises NotHere."""
        ...

    def deposit(self, amount: Decimal) -> None:
        """Money comes in; raises NotHere."""
        ...

    def stranger(self) -> Broker:
        """The same adapter with a key that the vendor does not know; raises NotHere."""
        ...


Case = Callable[[Harness], None]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def expect(holds: object, words: str) -> None:
    if not holds:
        raise Failed(words)


def expect_raises(
    kinds: type[BrokerError] | tuple[type[BrokerError], ...], call: Callable[[], object]
) -> BrokerError:
    """The error of a call that must fail in one of these ways."""
    try:
        got = call()
    except kinds as error:
        return error
    except Exception as error:
        raise Failed(f"raised {type(error).__name__}: {error}") from error
    raise Failed(f"gave {got!r} and raised nothing")


def found_by(harness: Harness, request: BrokerRequest) -> BrokerOrder:
    found = harness.broker.find_order(harness.ref(request))
    if found is None:
        raise Failed("the order is not found by its client order id")
    return found


# ── sending ──────────────────────────────────────────────────────────────────
@case
def a_submit_is_one_order_with_both_ids(harness: Harness) -> None:
    asked = harness.request()
    made = harness.broker.submit_order(asked)
    expect(made.client_order_id == asked.client_order_id, "the answer has another client id")
    expect(made.broker_order_id, "the answer has no id of the broker")
    expect(made.state in WORKING, f"a resting order is {made.state}")
    expect(made.filled_qty == 0 and not made.fills, "a new order is filled")
    expect(harness.count(asked.client_order_id) == 1, "the vendor has not one order")


@case
def a_repeated_id_is_refused_while_the_order_is_open(harness: Harness) -> None:
    if harness.broker.caps.id_scope == IdScope.NONE:
        raise NotHere
    asked = harness.request()
    harness.broker.submit_order(asked)
    expect_raises(DuplicateClientOrderId, lambda: harness.broker.submit_order(asked))
    expect(harness.count(asked.client_order_id) == 1, "it became two orders")


@case
def a_repeated_id_is_refused_for_all_time(harness: Harness) -> None:
    if harness.broker.caps.id_scope != IdScope.ALL_TIME:
        raise NotHere
    asked = harness.request()
    harness.broker.submit_order(asked)
    harness.cancel(asked.client_order_id)
    expect_raises(DuplicateClientOrderId, lambda: harness.broker.submit_order(asked))
    expect(harness.count(asked.client_order_id) == 1, "it became two orders")


@case
def what_cannot_be_paid_is_refused_in_a_sentence(harness: Harness) -> None:
    asked = harness.too_dear()
    error = expect_raises(OrderRejected, lambda: harness.broker.submit_order(asked))
    code, detail = getattr(error, "code", ""), getattr(error, "detail", "")
    expect(code.startswith("insufficient"), f"the code is {code}")
    expect(detail.endswith("."), "no sentence")
    expect(harness.broker.find_order(harness.ref(asked)) is None, "and yet it is there")


# ── asking ───────────────────────────────────────────────────────────────────
@case
def an_unknown_order_is_none(harness: Harness) -> None:
    asked = harness.request()
    expect(harness.broker.find_order(harness.ref(asked)) is None, "found what never was")
    expect(list(harness.broker.list_orders([harness.ref(asked)])) == [], "listed what never was")


@case
def an_order_is_found_by_its_client_id(harness: Harness) -> None:
    asked = harness.request()
    made = harness.broker.submit_order(asked)
    found = found_by(harness, asked)
    expect(found.broker_order_id == made.broker_order_id, "found another order")
    expect(found.client_order_id == asked.client_order_id, "found under another client id")
    expect(found.state in WORKING, f"a resting order is {found.state}")


@case
def a_list_has_those_asked_for_open_and_ended(harness: Harness) -> None:
    asks = [harness.request() for _ in range(3)]
    made = [harness.broker.submit_order(asked) for asked in asks]
    harness.cancel(asks[0].client_order_id)
    refs = [
        harness.ref(asked, broker_order_id=order.broker_order_id)
        for asked, order in zip(asks[:2], made[:2], strict=True)
    ]
    found = {one.client_order_id: one.state for one in harness.broker.list_orders(refs)}
    expect(found.keys() == {one.client_order_id for one in refs}, f"the list has {len(found)}")
    expect(found[asks[0].client_order_id] == OrderState.CANCELED, "the ended one is not canceled")


@case
def every_order_since_a_time(harness: Harness) -> None:
    asks = [harness.request() for _ in range(2)]
    since = harness.ref(asks[0]).since
    for asked in asks:
        harness.broker.submit_order(asked)
    harness.cancel(asks[0].client_order_id)
    found = [one.client_order_id for one in harness.broker.list_since(since)]
    expect(sorted(found) == sorted(one.client_order_id for one in asks), "the list is another")


@case
def an_order_from_elsewhere_comes_with_its_terms(harness: Harness) -> None:
    since = harness.ref(harness.request()).since
    placed = harness.external()
    found = [one for one in harness.broker.list_since(since) if one.broker_order_id == placed]
    expect(len(found) == 1, f"it is listed {len(found)} times")
    terms = found[0].terms
    expect(terms is not None and terms.qty and terms.side == "buy", f"its terms are {terms}")


# ── fills ────────────────────────────────────────────────────────────────────
@case
def fills_add_up_under_lasting_names(harness: Harness) -> None:
    asked = harness.request()
    harness.broker.submit_order(asked)
    harness.fill(asked.client_order_id, Decimal("0.5"), Decimal("10.25"))
    first = found_by(harness, asked)
    expect(first.state == OrderState.PARTIALLY_FILLED and not first.complete, "half is all")
    expect([one.qty for one in first.fills] == [Decimal("0.5")], "the first fill is another")
    harness.fill(asked.client_order_id, Decimal("1.5"), Decimal("10.20"))
    both = found_by(harness, asked)
    expect(both.state == OrderState.FILLED and both.complete, f"all of it is {both.state}")
    expect(both.filled_qty == TWO, f"{both.filled_qty} are filled")
    expect([one.price for one in both.fills] == [Decimal("10.25"), Decimal("10.20")], "the prices")
    expect(both.fills[0].trade_id == first.fills[0].trade_id, "a fill changed its name")
    names = [one.trade_id for one in both.fills]
    expect(names == sorted(set(names)), "names do not sort in sequence")
    listed = harness.broker.list_orders([harness.ref(asked)])
    expect([one.trade_id for one in listed[0].fills] == names, "a list has other fills")
    cum = [one.cum_qty for one in both.fills]
    expect(cum in ([None, None], [Decimal("0.5"), TWO]), f"cumulative quantities are {cum}")


@case
def what_is_booked_may_be_left_out_but_not_the_sum(harness: Harness) -> None:
    asked = harness.request()
    harness.broker.submit_order(asked)
    harness.fill(asked.client_order_id, Decimal(1), Decimal(10))
    refs = [harness.ref(asked, filled_qty=Decimal(1))]
    expect(harness.broker.list_orders(refs)[0].filled_qty == 1, "the sum is another")


# ── canceling ────────────────────────────────────────────────────────────────
@case
def a_cancel_is_told_by_the_next_look(harness: Harness) -> None:
    for known in (True, False):
        asked = harness.request()
        made = harness.broker.submit_order(asked)
        names = {"broker_order_id": made.broker_order_id} if known else {}
        harness.broker.cancel_order(harness.ref(asked, **names))
        expect(found_by(harness, asked).state == OrderState.CANCELED, "it is not canceled")


@case
def what_is_final_cannot_be_canceled(harness: Harness) -> None:
    asked = harness.request()
    made = harness.broker.submit_order(asked)
    harness.fill(asked.client_order_id, TWO, Decimal(10))
    ref = harness.ref(asked, broker_order_id=made.broker_order_id)
    expect_raises(NotCancelable, lambda: harness.broker.cancel_order(ref))


@case
def a_cancel_keeps_the_part_that_is_filled(harness: Harness) -> None:
    asked = harness.request()
    made = harness.broker.submit_order(asked)
    harness.fill(asked.client_order_id, Decimal("0.5"), Decimal(10))
    harness.broker.cancel_order(harness.ref(asked, broker_order_id=made.broker_order_id))
    found = found_by(harness, asked)
    expect(found.state == OrderState.CANCELED and not found.complete, f"it is {found.state}")
    expect(found.filled_qty == Decimal("0.5") and len(found.fills) == 1, "its fill is gone")


# ── faults ───────────────────────────────────────────────────────────────────
def _taken_but_unknown(harness: Harness, fault: FaultName) -> None:
    asked = harness.request()
    harness.fault(fault)
    expect_raises(OutcomeUnknown, lambda: harness.broker.submit_order(asked))
    expect(harness.count(asked.client_order_id) == 1, "the vendor has not one order")
    expect(found_by(harness, asked).state in WORKING, "it is found in another state")


@case
def a_lost_answer_is_unknown_and_found(harness: Harness) -> None:
    _taken_but_unknown(harness, "answer_lost")


@case
def a_gateways_answer_is_unknown_and_found(harness: Harness) -> None:
    _taken_but_unknown(harness, "gateway")


@case
def half_an_answer_is_unknown_and_found(harness: Harness) -> None:
    _taken_but_unknown(harness, "garbage")


@case
def no_answer_in_a_good_one_is_unknown_and_found(harness: Harness) -> None:
    _taken_but_unknown(harness, "empty")


@case
def a_lost_request_is_not_taken_for_sent_or_refused(harness: Harness) -> None:
    asked = harness.request()
    harness.fault("request_lost")
    expect_raises((OutcomeUnknown, NotSent), lambda: harness.broker.submit_order(asked))
    expect(harness.count(asked.client_order_id) == 0, "the vendor has it")
    expect(harness.broker.find_order(harness.ref(asked)) is None, "it is found")


@case
def nobody_listens_is_proof_that_nothing_was_sent(harness: Harness) -> None:
    asked = harness.request()
    harness.down()
    expect_raises(NotSent, lambda: harness.broker.submit_order(asked))
    expect(harness.count(asked.client_order_id) == 0, "the vendor has it")


@case
def too_many_requests_are_not_sent(harness: Harness) -> None:
    asked = harness.request()
    harness.fault("too_many")
    expect_raises(RateLimited, lambda: harness.broker.submit_order(asked))
    expect(harness.count(asked.client_order_id) == 0, "the vendor has it")


@case
def a_broken_look_is_no_word_at_all(harness: Harness) -> None:
    asked = harness.request()
    harness.broker.submit_order(asked)
    harness.fault("read_broken")
    expect_raises(OutcomeUnknown, lambda: harness.broker.find_order(harness.ref(asked)))
    found_by(harness, asked)


@case
def an_order_that_is_not_seen_at_first(harness: Harness) -> None:
    asked = harness.request()
    harness.broker.submit_order(asked)
    harness.fault("hidden")
    expect(harness.broker.find_order(harness.ref(asked)) is None, "the fault did nothing")
    expect(not harness.broker.caps.lookup_is_proof, "a miss is called a proof, and is none")
    found_by(harness, asked)


# ── the account ──────────────────────────────────────────────────────────────
@case
def a_good_key_may_trade(harness: Harness) -> None:
    facts = harness.broker.check()
    expect(facts.may_trade and facts.words.endswith("."), f"the words are {facts.words!r}")


@case
def a_wrong_key_is_told_in_words(harness: Harness) -> None:
    stranger = harness.stranger()
    error = expect_raises(AuthFailed, stranger.check)
    expect(str(error).endswith("."), "no sentence")
    asked = harness.request()
    expect_raises((AuthFailed, OrderRejected), lambda: stranger.submit_order(asked))
    expect_raises(AuthFailed, lambda: stranger.find_order(harness.ref(asked)))
    expect(harness.count(asked.client_order_id) == 0, "the vendor has it")


@case
def holdings_follow_fills_and_deposits(harness: Harness) -> None:
    harness.deposit(Decimal(500))
    before = harness.broker.holdings()
    asked = harness.request()
    harness.broker.submit_order(asked)
    harness.fill(asked.client_order_id, TWO, Decimal(10))
    after = harness.broker.holdings()
    expect(before.blocked == "" and before.currency == after.currency == "USD", "it is blocked")
    expect(before.cash - after.cash == 20, f"cash went down by {before.cash - after.cash}")
    held = {one.symbol: one.qty for one in after.positions}
    expect(held == {asked.symbol: TWO}, f"held are {held}")


@case
def money_that_comes_in_is_told_once(harness: Harness) -> None:
    since = harness.ref(harness.request()).since
    harness.deposit(Decimal(500))
    twice = [*harness.broker.cash_events(since), *harness.broker.cash_events(since)]
    expect(len(twice) == 2 and twice[0] == twice[1], "an event changes between two looks")
    expect((twice[0].kind, twice[0].amount) == ("deposit", 500), f"it is {twice[0]}")


# ── the table ────────────────────────────────────────────────────────────────
def capability_table() -> str:
    """What each broker can do, as the table of docs/concepts/broker.md."""
    from trading.brokers.capabilities import ALPACA, EXCHANGES, PAPER

    brokers = {"paper": PAPER, "alpaca": ALPACA, **EXCHANGES}
    scopes = {
        IdScope.ALL_TIME: "for all time",
        IdScope.OPEN_ONLY: "while it is open",
        IdScope.NONE: "no",
    }

    def row(title: str, cells: Sequence[str]) -> str:
        return f"| {title} | {' | '.join(cells)} |"

    def listed(names: frozenset[str], order: str) -> str:
        return ", ".join(sorted(names, key=order.split().index))

    caps = list(brokers.values())
    rows = [
        row("capability", list(brokers)),
        "|" + "---|" * (len(brokers) + 1),
        row("assets", [listed(one.asset_types, "stock crypto") for one in caps]),
        row("types", [listed(one.order_types, "market limit") for one in caps]),
        row(
            "time in force",
            [listed(one.times_in_force, "day gtc ioc fok opg cls") for one in caps],
        ),
        row("fractions", [_fractions(one.fractional, one.fraction_tifs) for one in caps]),
        row("amounts of money", ["yes" if one.notional else "no" for one in caps]),
        row("a repeated client order id is refused", [scopes[one.id_scope] for one in caps]),
        row("longest client order id", [str(one.cid_max_len) for one in caps]),
        row("a miss by id proves absence", [_yes(one.lookup_is_proof) for one in caps]),
        row("tells by itself", [_yes(one.push_updates) for one in caps]),
        row("one call at a time per key", [_yes(one.one_writer) for one in caps]),
    ]
    return "\n".join(rows) + "\n"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _fractions(fractional: bool, tifs: frozenset[str] | None) -> str:
    if not fractional:
        return "no"
    return "yes" if tifs is None else f"of stocks with {', '.join(sorted(tifs))}"
