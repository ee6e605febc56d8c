"""Orders at Kraken: what is sent, what comes back, and every digit of it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest

from trading.brokers.base import NotCancelable, OrderRejected
from trading.brokers.ccxt.ids import our_ids, venue_id
from trading.brokers.ccxt.venues import KRAKEN
from trading.domain.orders import OrderState
from trading.tests.ccxt.hand import EPOCH, order_ref, order_request

S = OrderState


def _body(hand: Any, endpoint: str) -> dict[str, str]:
    [sent] = [one for one in hand.vendor.wire.requests if one.path.endswith(endpoint)]
    return dict(parse_qsl(sent.text))


def test_a_limit_order_leaves_once_in_exact_strings(hand: Any) -> None:
    request, report = hand.place(client_order_id="6f0b7a52000040008000000000000001")
    body = _body(hand, "AddOrder")
    assert body.pop("nonce").isdecimal()
    assert body == {
        "pair": "XXBTZUSD",
        "type": "buy",
        "ordertype": "limit",
        "volume": "0.1",
        "cl_ord_id": "6f0b7a52-0000-4000-8000-000000000001",
        "price": "43000.5",
        "timeinforce": "GTC",
        "oflags": "fciq",
    }
    assert report.sent == body
    assert report.client_order_id == request.client_order_id
    assert report.broker_order_id == hand.at_vendor(request).txid
    assert (report.state, report.filled_qty, report.fills) == (S.NEW, 0, ())


def test_a_tiny_quantity_is_not_written_with_an_exponent(hand: Any) -> None:
    hand.vendor.price("BTC/USD", "90000000", "90000001")
    hand.vendor.deposit("USD", "100000000")
    hand.place(qty=Decimal("0.00005001"), order_type="market", side="buy")
    body = _body(hand, "AddOrder")
    assert body["volume"] == "0.00005001" and "price" not in body and "timeinforce" not in body


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"qty": Decimal("0.100000001")}, "qty_off_grid", "steps of 0.00000001"),
        ({"limit_price": Decimal("43210.15")}, "price_off_grid", "steps of 0.1"),
        ({"qty": Decimal("0.00004")}, "qty_too_small", "below 0.00005"),
        (
            {"qty": Decimal("0.0001"), "limit_price": Decimal("10")},
            "qty_too_small",
            "worth less than 0.5 USD",
        ),
        ({"symbol": "AAPL"}, "instrument_not_at_broker", "no market for AAPL"),
        ({"symbol": "XMR/USD"}, "instrument_not_at_broker", "no market for XMR/USD"),
        ({"asset_type": "stock"}, "instrument_not_at_broker", "no market"),
        ({"qty": None, "notional": Decimal(10)}, "qty_off_grid", "not amounts of money"),
        ({"time_in_force": "fok"}, "order_type_unsupported", "fok"),
        ({"order_type": "stop"}, "order_type_unsupported", "stop"),
        ({"extended_hours": True}, "order_type_unsupported", "gtc"),
    ],
)
def test_what_is_off_the_venues_grid_is_refused_before_anything_is_sent(
    hand: Any, changes: dict[str, Any], code: str, words: str
) -> None:
    with pytest.raises(OrderRejected, match=words) as caught:
        hand.place(**changes)
    assert caught.value.code == code
    assert "AddOrder" not in hand.vendor.faults.calls


def test_an_order_is_found_open_and_closed_and_its_fills_add_up(hand: Any) -> None:
    request, _ = hand.place()
    ref = order_ref(request)
    found = hand.broker.find_order(ref)
    assert found is not None and (found.state, found.filled_qty) == (S.NEW, 0)
    txid = hand.at_vendor(request).txid
    hand.vendor.fill(txid, "0.04", "43000.4")
    part = hand.broker.find_order(ref)
    assert part is not None and part.state == S.PARTIALLY_FILLED
    [fill] = part.fills
    assert (fill.qty, fill.price, fill.fee) == (
        Decimal("0.04"),
        Decimal("43000.4"),
        Decimal("4.3000"),
    )
    hand.vendor.fill(txid, "0.06")
    done = hand.broker.find_order(ref)
    assert done is not None and done.complete and done.state == S.FILLED
    assert [one.cum_qty for one in done.fills] == [Decimal("0.04"), Decimal("0.1")]
    assert done.fills[0] == fill and done.fills[0].trade_id < done.fills[1].trade_id
    assert sum(one.fee for one in done.fills) == hand.at_vendor(request).fee
    assert done.avg_price == Decimal("43000.5")  # as the venue rounds it
    # By its own id as well, and without asking for trades where we have them all.
    hand.vendor.faults.calls.clear()
    again = hand.broker.find_order(
        order_ref(request, broker_order_id=txid, filled_qty=Decimal("0.1"))
    )
    assert again is not None and again.fills == () and again.filled_qty == Decimal("0.1")
    assert hand.vendor.faults.calls == {"QueryOrders": 1}


def test_an_order_that_is_not_there_is_a_definite_miss(hand: Any) -> None:
    request = order_request()
    assert hand.broker.find_order(order_ref(request)) is None
    assert hand.broker.find_order(order_ref(request, broker_order_id="OAAAAA-AAAAA-AAAAAA")) is None


def test_the_texts_of_users_and_their_uuids_stay_apart(hand: Any) -> None:
    uuid_text = "6f0b7a52-0000-4000-8000-000000000001"
    names = ["my order", "short-1", uuid_text, uuid_text.replace("-", ""), "x" * 64, "ünï"]
    for name in names:
        hand.place(client_order_id=name)
    told = set(hand.vendor.truth.accepted)
    assert len(told) == len(names) and "short-1" in told
    for name in names:
        found = hand.broker.find_order(order_ref(order_request(client_order_id=name)))
        assert found is not None and found.client_order_id == name


def test_cancel_is_asked_by_either_name_and_a_final_order_says_so(hand: Any) -> None:
    first, report = hand.place()
    second, _ = hand.place()
    hand.broker.cancel_order(order_ref(first, broker_order_id=report.broker_order_id))
    hand.broker.cancel_order(order_ref(second))
    for request in (first, second):
        found = hand.broker.find_order(order_ref(request))
        assert found is not None and found.state == S.CANCELED
        assert found.reason == "User requested"
        with pytest.raises(NotCancelable):
            hand.broker.cancel_order(order_ref(request))


def test_a_cancel_that_lost_to_a_fill_tells_of_the_fill(hand: Any) -> None:
    request, _ = hand.place()
    hand.vendor.fill(hand.at_vendor(request).txid)
    with pytest.raises(NotCancelable):
        hand.broker.cancel_order(order_ref(request))
    found = hand.broker.find_order(order_ref(request))
    assert found is not None and found.state == S.FILLED and found.complete


def test_an_immediate_order_that_fills_in_part_ends_canceled(hand: Any) -> None:
    request, _ = hand.place(time_in_force="ioc")
    found = hand.broker.find_order(order_ref(request))
    assert found is not None and found.state == S.CANCELED and found.filled_qty == 0
    request, _ = hand.place()
    txid = hand.at_vendor(request).txid
    hand.vendor.fill(txid, "0.03")
    hand.vendor.cancel(txid, "closed", "")  # ended, with something left
    found = hand.broker.find_order(order_ref(request))
    assert found is not None and found.state == S.CANCELED and not found.complete
    assert [fill.qty for fill in found.fills] == [Decimal("0.03")]


def test_a_list_asks_once_for_what_is_open_and_little_for_the_rest(hand: Any) -> None:
    placed = [hand.place() for _ in range(4)]
    refs = [order_ref(req, broker_order_id=rep.broker_order_id) for req, rep in placed[:3]]
    refs.append(order_ref(placed[3][0]))
    refs.append(order_ref(order_request()))  # never sent
    hand.vendor.fill(placed[1][1].broker_order_id)
    hand.vendor.cancel(placed[2][1].broker_order_id)
    hand.vendor.faults.calls.clear()
    told = {one.client_order_id: one for one in hand.broker.list_orders(refs)}
    states = [told[request.client_order_id].state for request, _ in placed]
    assert states == [S.NEW, S.FILLED, S.CANCELED, S.NEW] and len(told) == 4
    assert hand.vendor.faults.calls["QueryOrders"] == 1
    assert hand.vendor.faults.calls["QueryTrades"] == 1
    assert (
        hand.vendor.faults.calls["OpenOrders"] == 2 == 1 + hand.vendor.faults.calls["ClosedOrders"]
    )


def test_everything_since_then_is_told_with_its_terms_whoever_made_it(hand: Any) -> None:
    mine, _ = hand.place()
    done, _ = hand.place(side="buy", order_type="market", qty=Decimal("0.2"))
    foreign = hand.vendor.external_order("ETH/USD", "buy", "1.5", "2100.25")
    named = hand.vendor.external_order("BTC/USD", "buy", "0.01", "20000", client_id="phone-7")
    told = {one.client_order_id: one for one in hand.broker.list_since(EPOCH)}
    assert set(told) == {mine.client_order_id, done.client_order_id, foreign.txid, "phone-7"}
    terms = told[foreign.txid].terms
    assert terms is not None
    assert (terms.symbol, terms.side, terms.order_type) == ("ETH/USD", "buy", "limit")
    assert (terms.qty, terms.limit_price) == (Decimal("1.5"), Decimal("2100.25"))
    assert abs(terms.created_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert [fill.qty for fill in told[done.client_order_id].fills] == [Decimal("0.2")]
    assert told["phone-7"].broker_order_id == named.txid
    found = hand.broker.find_order(order_ref(order_request(client_order_id="phone-7")))
    assert found is not None


def test_a_list_of_many_pages_is_read_to_its_end(hand: Any) -> None:
    txids = {
        hand.vendor.external_order("BTC/USD", "buy", "0.0001", str(40000 + n)).txid
        for n in range(120)
    }
    for txid in txids:
        hand.vendor.fill(txid, "0.00005")
        hand.vendor.cancel(txid)
    told = hand.broker.list_since(EPOCH)
    assert {one.broker_order_id for one in told} == txids
    assert all(len(one.fills) == 1 for one in told)
    assert hand.vendor.faults.calls["ClosedOrders"] == 3
    assert hand.vendor.faults.calls["TradesHistory"] == 3


def _trade_calls(hand: Any) -> tuple[int, int]:
    calls = hand.vendor.faults.calls
    return calls.get("QueryTrades", 0), calls.get("TradesHistory", 0)


def test_an_old_order_that_is_booked_so_far_has_its_trades_read_no_more(hand: Any) -> None:
    """Fails where each list reads all trades since the oldest open order was made."""
    request, _ = hand.place()
    hand.vendor.fill(hand.at_vendor(request).txid, "0.04")
    [told] = hand.broker.list_since(EPOCH, lambda names: dict.fromkeys(names, Decimal("0.04")))
    assert (told.filled_qty, told.fills) == (Decimal("0.04"), ())
    assert _trade_calls(hand) == (0, 0)
    [told] = hand.broker.list_since(EPOCH, lambda names: dict.fromkeys(names, Decimal("0.03")))
    assert [fill.qty for fill in told.fills] == [Decimal("0.04")]
    assert _trade_calls(hand) == (1, 0)  # its own, and not those of everybody


def test_the_list_of_trades_does_not_begin_with_the_oldest_order(hand: Any) -> None:
    """Fails where one that is months old makes a busy minute read the trades of months."""
    txids = []
    for days in (90, 80, 0, 0, 0):
        made = hand.vendor.external_order("BTC/USD", "buy", "0.1", "40000")
        hand.vendor.fill(made.txid, "0.05")
        made.opened -= 86400 * days
        txids.append(made.txid)
    told = hand.broker.list_since(EPOCH)
    assert all(len(one.fills) == 1 for one in told) and len(told) == 5
    assert _trade_calls(hand) == (2, 1)
    [asked] = [one for one in hand.vendor.wire.requests if one.path.endswith("TradesHistory")]
    assert datetime.now(UTC).timestamp() - float(asked.form["start"]) < 3600


def test_an_id_that_is_used_again_names_two_orders(hand: Any) -> None:
    first = hand.vendor.external_order("BTC/USD", "buy", "0.01", "20000", client_id="again")
    hand.vendor.cancel(first.txid)
    second = hand.vendor.external_order("BTC/USD", "buy", "0.01", "20001", client_id="again")
    told = {one.broker_order_id: one.client_order_id for one in hand.broker.list_since(EPOCH)}
    assert told == {first.txid: "again", second.txid: second.txid}


def test_fills_wait_until_they_are_all_there(hand: Any) -> None:
    request, _ = hand.place()
    txid = hand.at_vendor(request).txid
    hand.vendor.fill(txid, "0.04")
    trade = hand.vendor.fill(txid, "0.06")
    gone = hand.vendor.truth.trades.pop(trade.id)
    found = hand.broker.find_order(order_ref(request))
    assert found is not None and (found.filled_qty, found.fills) == (Decimal("0.1"), ())
    hand.vendor.truth.trades[trade.id] = gone
    found = hand.broker.find_order(order_ref(request))
    assert found is not None and len(found.fills) == 2


def test_the_book_of_the_vendor_is_ours_to_the_last_digit(hand: Any) -> None:
    """Twenty-three fills of one order: more than one question about trades."""
    request, _ = hand.place(qty=Decimal("0.23"))
    txid = hand.at_vendor(request).txid
    for n in range(23):
        hand.vendor.fill(txid, "0.01", f"{43000 - n}.1")
    found = hand.broker.find_order(order_ref(request))
    assert found is not None and len(found.fills) == 23
    cost = sum(fill.qty * fill.price + fill.fee for fill in found.fills)
    balance = hand.vendor.truth.balances["ZUSD"]
    assert abs(Decimal(100000) - cost - balance) < Decimal("0.01")


def test_a_text_of_the_user_s_own_is_known_again_in_a_list(hand: Any, desk: Any) -> None:
    """The venue has it as a UUID that says nothing: our own orders say what it stands for."""
    text = "a name that is longer than the venue takes"
    desk.place(qty="1", client_order_id=text)
    told = venue_id(KRAKEN, text)
    foreign = venue_id(KRAKEN, "somebody else's name, which is long as well")
    plain = "6f0b7a52-0000-4000-8000-000000000001"
    assert our_ids(KRAKEN, desk.account.pk, [told, foreign, plain, ""]) == {
        told: text,
        foreign: foreign.replace("-", ""),
        plain: plain.replace("-", ""),
    }
    assert our_ids(KRAKEN, desk.account.pk + 1, [told]) == {told: told.replace("-", "")}
