"""Taking an order in: once per key, whole or not at all."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import BrokerageAccount
from marketdata import quote_store
from portfolio.models import Hold, LedgerAccount
from speedtrade.lib.errors import DomainError
from speedtrade.testing.cast import account_of
from trading.domain.orders import Changes, OrderIntent
from trading.domain.risk import Denied
from trading.models import Order, OrderEvent, Submission
from trading.services.orders import ClientOrderIdTaken, KeyReused, order_place
from trading.services.replacements import order_replace
from trading.tests.desk import Desk

D = Decimal


def rows() -> dict[str, int]:
    """How many rows an order leaves, table by table."""
    tables = (Order, OrderEvent, Submission, Hold, LedgerAccount)
    return {table.__name__: table.objects.count() for table in tables}


def test_a_new_order_leaves_one_of_each_and_a_hold(desk: Desk):
    before = rows()
    order = desk.place("buy", "10")
    after = rows()
    assert {name: after[name] - before[name] for name in after} == {
        "Order": 1,
        "OrderEvent": 1,
        "Submission": 1,
        "Hold": 1,
        "LedgerAccount": 0,  # the pocket of the shares comes with them
    }
    assert (order.state, order.status) == ("pending", "pending_new")
    assert (desk.hold(order), desk.reserved, desk.cash) == (D(1050), D(1050), D(100_000))
    assert order.price_bound == D("105.00")
    desk.check()


def test_the_same_key_gives_the_same_order(desk: Desk):
    """Fails without the look at the key: there would be two orders, two holds."""
    first = desk.ask("buy", "10", key="monday")
    again = desk.ask("buy", "10", key="monday")
    assert (first.created, again.created) == (True, False)
    assert again.order.pk == first.order.pk
    assert Order.objects.count() == 1
    assert desk.reserved == D(1050)


def test_the_same_key_gives_the_same_order_when_nothing_can_be_placed_any_more(desk: Desk):
    """The retry of an order that went through must not hear that there is no price now."""
    first = desk.ask("buy", "10", key="monday")
    desk.wait(60)
    assert desk.ask("buy", "10", key="monday").order.pk == first.order.pk
    with pytest.raises(Denied):
        desk.ask("buy", "10", key="tuesday")


@pytest.mark.parametrize(
    "other",
    [{"qty": "11"}, {"side": "sell"}, {"limit": "90.00"}, {"tif": "gtc"}, {"client_order_id": "x"}],
)
def test_the_same_key_with_another_body_is_refused(desk: Desk, other: dict[str, Any]):
    desk.ask("buy", "10", key="monday")
    terms = {"side": "buy", "qty": "10"} | other
    with pytest.raises(KeyReused) as refusal:
        desk.ask(terms.pop("side"), terms.pop("qty"), key="monday", **terms)
    assert (refusal.value.code, refusal.value.status) == ("idempotency_mismatch", 422)
    assert Order.objects.count() == 1


def test_the_same_number_written_otherwise_is_the_same_body(desk: Desk):
    first = desk.ask("buy", "10", limit="95.00", key="monday")
    again = desk.ask("buy", "10.000", limit="95", key="monday")
    assert again.order.pk == first.order.pk


def test_a_key_belongs_to_its_user(desk: Desk, charlie):
    desk.ask("buy", "10", key="monday")
    other = Desk(charlie, account_of(charlie), desk.clock)
    assert other.ask("buy", "10", key="monday").created
    assert Order.objects.count() == 2


def test_a_client_order_id_is_a_key_as_well(desk: Desk):
    first = desk.ask("buy", "10", client_order_id="mine-1")
    again = desk.ask("buy", "10", client_order_id="mine-1")
    assert (again.created, again.order.pk) == (False, first.order.pk)
    assert first.order.client_order_id == "mine-1"
    with pytest.raises(KeyReused):
        desk.ask("buy", "11", client_order_id="mine-1")


def test_a_client_order_id_names_one_order_under_whatever_key(desk: Desk):
    desk.ask("buy", "10", client_order_id="mine-1", key="monday")
    with pytest.raises(ClientOrderIdTaken):
        desk.ask("buy", "10", client_order_id="mine-1", key="tuesday")
    assert Order.objects.count() == 1


def test_a_retry_without_the_header_finds_the_order_by_its_client_order_id(desk: Desk):
    first = desk.ask("buy", "10", client_order_id="mine-1", key="monday")
    again = desk.ask("buy", "10", client_order_id="mine-1")
    assert (again.created, again.order.pk) == (False, first.order.pk)
    with pytest.raises(ClientOrderIdTaken):
        desk.ask("buy", "11", client_order_id="mine-1")


def test_two_accounts_of_one_user_may_use_the_same_client_order_id_but_not_the_key(desk: Desk):
    first = desk.ask("buy", "10", client_order_id="mine-1", key="monday")
    second = second_account(desk)
    with pytest.raises(KeyReused):
        second.ask("buy", "10", client_order_id="mine-1", key="monday")
    order = second.ask("buy", "10", client_order_id="mine-1", key="tuesday").order
    assert order.pk != first.order.pk


def second_account(desk: Desk) -> Desk:
    """Another paper account of the same user, funded as the first one."""
    from accounts.services.openings import openers_run

    account = BrokerageAccount.objects.create(user=desk.user, label="Second", created_at=desk.now)
    openers_run(account, desk.now)
    return Desk(desk.user, account, desk.clock)


def test_without_a_key_every_call_is_an_order(desk: Desk):
    assert desk.place("buy", "1").pk != desk.place("buy", "1").pk


@pytest.mark.parametrize(
    "terms, code",
    [
        ({"qty": "1000"}, "insufficient_buying_power"),
        ({"side": "sell", "qty": "1"}, "insufficient_position"),
        ({"qty": "10", "limit": "300.00"}, "price_collar"),
        ({"qty": "0.0000001"}, "qty_off_grid"),
        ({"notional": "0.99"}, "qty_too_small"),
        ({"qty": "10", "symbol": "MSFT"}, "quote_stale"),
    ],
)
def test_what_is_denied_leaves_no_row_at_all(desk: Desk, terms: dict[str, Any], code: str):
    desk.instrument(terms.get("symbol", "AAPL"))
    before = rows()
    with pytest.raises(Denied) as refusal:
        desk.ask(terms.pop("side", "buy"), terms.pop("qty", None), key="monday", **terms)
    assert refusal.value.code == code
    assert rows() == before
    assert desk.reserved == 0


def test_a_key_that_was_denied_may_be_used_again(desk: Desk):
    """Validation failures are not stored: the same key with a better order goes through."""
    with pytest.raises(Denied):
        desk.ask("buy", "1000", key="monday")
    assert desk.ask("buy", "10", key="monday").created


def test_holds_add_up_and_the_last_cent_decides(desk: Desk):
    desk.place("buy", "900", limit="100.00")
    desk.place("buy", "99.99", limit="100.00")
    assert desk.reserved == D("99999")
    with pytest.raises(Denied):
        desk.place("buy", "0.010001", limit="100.00")
    desk.place("buy", "0.01", limit="100.00")
    assert desk.reserved == desk.cash == D("100000")
    desk.check()


def test_shares_on_hold_are_not_sold_twice(desk: Desk):
    desk.trade("buy", "10")
    desk.place("sell", "6", limit="110.00")
    with pytest.raises(Denied) as refusal:
        desk.place("sell", "5", limit="110.00")
    assert refusal.value.code == "insufficient_position"
    desk.place("sell", "4", limit="110.00")
    desk.check()


def test_the_days_total_counts_what_was_canceled_and_not_what_was_rejected(desk: Desk, settings):
    settings.RISK_MAX_DAY_NOTIONAL = D(1000)
    desk.cancel(desk.place("buy", "6", limit="100.00"), send=False)
    with pytest.raises(Denied) as refusal:
        desk.place("buy", "4.01", limit="100.00")
    assert refusal.value.code == "day_notional_limit"
    Order.objects.update(state="rejected")
    desk.place("buy", "10", limit="100.00")


def test_of_a_replaced_order_the_days_total_counts_what_it_bought_itself(desk: Desk, settings):
    """Fails where each new price of one order counts again: a third would be too much."""
    settings.RISK_MAX_DAY_NOTIONAL = D(1000)
    order = desk.place("buy", "6", limit="100.00")
    Order.objects.update(state="replaced", filled_qty=1, filled_notional=100)
    with pytest.raises(Denied) as refusal:
        desk.place("buy", "9.01", limit="100.00")
    assert refusal.value.code == "day_notional_limit"
    assert desk.fresh(order).risk_notional == D(600)
    desk.place("buy", "9", limit="100.00")


def test_what_an_order_bought_counts_when_its_terms_change(desk: Desk, settings):
    """Fails where the order that is replaced counts nothing: its fills would be free."""
    settings.RISK_MAX_DAY_NOTIONAL = D(1000)
    desk.quote("99.99", "100.00", "6")
    order = desk.trade("buy", "8", limit="100.00")
    assert order.filled_qty == 6
    for total, passes in (("10.01", False), ("10", True)):
        asked = {"changes": Changes(qty=D(total)), "quote": None, "source": "api"}
        if passes:
            order_replace(order=order, actor=desk.user, now=desk.now, **asked)
        else:
            with pytest.raises(Denied) as refusal:
                order_replace(order=order, actor=desk.user, now=desk.now, **asked)
            assert refusal.value.code == "day_notional_limit"


def test_what_is_sold_does_not_count_as_bought(desk: Desk, settings):
    settings.RISK_MAX_DAY_NOTIONAL = D(1000)
    desk.trade("buy", "6")
    desk.place("sell", "6", limit="100.00")
    desk.place("buy", "4", limit="100.00")


def test_the_open_orders_are_counted_under_the_lock(desk: Desk, settings):
    settings.RISK_MAX_OPEN_ORDERS = 2
    desk.place("buy", "1", limit="90.00")
    resting = desk.place("buy", "1", limit="90.00")
    with pytest.raises(Denied) as refusal:
        desk.place("buy", "1", limit="90.00")
    assert refusal.value.code == "too_many_open_orders"
    desk.cancel(resting, send=False)
    desk.place("buy", "1", limit="90.00")


def test_purchases_that_rest_count_towards_the_most_that_a_position_may_be_worth(
    desk: Desk, settings
):
    """Fails where only what is held counts: many small orders would buy what one may not."""
    settings.RISK_MAX_POSITION_NOTIONAL = D(10_000)
    first = desk.place("buy", "60", limit="99.00")  # at the ask of 100 they would be worth 6,000
    desk.trade("buy", notional="2000")  # in part: the 5 that are offered come to 500
    desk.instrument("MSFT")
    desk.quote("99.99", "100.00", symbol="MSFT")
    desk.place("buy", "40", limit="99.00", symbol="MSFT")  # another symbol does not count
    with pytest.raises(Denied) as refusal:
        desk.place("buy", "21", limit="99.00")
    assert refusal.value.code == "position_limit"
    changed = order_replace(
        order=desk.work(first),
        changes=Changes(qty=D(80)),
        quote=quote_store.quote_get("AAPL"),
        actor=desk.user,
        source="api",
        now=desk.now,
    )
    assert changed.qty == 80, "an order that is replaced does not count beside its own successor"


def test_an_account_is_locked_inside_a_transaction_only(transactional_db):
    from portfolio.services.books import account_lock
    from speedtrade.lib.errors import InvariantBroken

    with pytest.raises(InvariantBroken):
        account_lock(1)


def test_an_order_for_an_account_that_is_gone_is_not_found(desk: Desk):
    nobody = replace_account(desk)
    with pytest.raises(DomainError) as refusal:
        order_place(
            account=nobody,
            instrument=desk.instrument(),
            intent=desk.intent("buy", "1"),
            quote=None,
            key=None,
            placed_by=desk.user,
            source="api",
            now=desk.now,
        )
    assert refusal.value.status == 404


def replace_account(desk: Desk) -> BrokerageAccount:
    return BrokerageAccount(pk=desk.account.pk + 1_000_000, user=desk.user)


def test_the_digest_of_an_intent_knows_every_field(desk: Desk):
    """A field that the digest forgets would let another body pass as the same one."""
    from trading.services.orders import intent_digest

    base = desk.intent("buy", "10", limit="95.00", client_order_id="a")
    others: dict[str, Any] = {
        "symbol": "MSFT",
        "side": desk.intent("sell", "1").side,
        "order_type": desk.intent("buy", "1").order_type,
        "time_in_force": desk.intent("buy", "1", tif="gtc").time_in_force,
        "qty": D(11),
        "notional": D(1),
        "limit_price": D(94),
        "asset_type": "crypto",
        "extended_hours": True,
        "client_order_id": "b",
    }
    assert set(others) == set(OrderIntent.__slots__)
    digests = {intent_digest(1, replace(base, **{name: value})) for name, value in others.items()}
    digests |= {intent_digest(1, base), intent_digest(2, base)}
    assert len(digests) == len(others) + 2
