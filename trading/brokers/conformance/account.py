"""The key, what it holds, and money that comes in."""

from decimal import Decimal

from trading.brokers.base import AuthFailed, OrderRejected
from trading.brokers.conformance.harness import TWO, Harness, case, expect, expect_raises


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
