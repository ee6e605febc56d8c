"""What the adapter sends and understands, on the unmodified package against the loopback vendor."""

import json
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from accounts.keys import BrokerKey
from speedtrade.testing.vendors.faults import answer, edited
from trading.brokers.alpaca.adapter import FILL_LOOKUPS, AlpacaBroker
from trading.brokers.base import (
    CLOCK_GUESS,
    AuthFailed,
    DuplicateClientOrderId,
    NotCancelable,
    OrderRejected,
    OutcomeUnknown,
    RateLimited,
)
from trading.domain.orders import OrderState
from trading.tests.alpaca.asks import LONG_AGO, market, ref, request


def sent_body(vendor: Any) -> Any:
    return json.loads(next(body for name, _, _, body in vendor.calls if name == "submit"))


class TestSubmit:
    def test_exact_texts_one_request_and_our_id(self, vendor, theirs, broker):
        asked = request(qty=Decimal("0.000000001"), limit_price=Decimal("43210.10"))
        made = broker.submit_order(asked)
        assert vendor.called("submit") == 1
        assert sent_body(vendor) == {
            "client_order_id": asked.client_order_id,
            "symbol": "AAPL",
            "side": "buy",
            "type": "limit",
            "time_in_force": "day",
            "qty": "0.000000001",
            "limit_price": "43210.1",
        }
        assert made.sent == sent_body(vendor)
        assert made.state == OrderState.ACCEPTED and made.raw_status == "pending_new"
        assert made.broker_order_id in theirs.orders
        assert theirs.accepted[asked.client_order_id] == 1

    @pytest.mark.parametrize(
        ("asked", "fields"),
        [
            (market(), {"type": "market", "qty": "2"}),
            (market(qty=None, notional=Decimal("5.00")), {"type": "market", "notional": "5"}),
            (request(time_in_force="opg"), {"time_in_force": "opg"}),
            (request(time_in_force="cls"), {"time_in_force": "cls"}),
            (request(extended_hours=True), {"extended_hours": True, "time_in_force": "day"}),
            (
                market(symbol="BTC/USD", asset_type="crypto", qty=Decimal("0.1")),
                {"symbol": "BTC/USD", "time_in_force": "gtc"},
            ),
        ],
    )
    def test_as_alpaca_wants_it(self, vendor, broker, asked, fields):
        broker.submit_order(asked)
        body = sent_body(vendor)
        assert fields.items() <= body.items()
        assert ("limit_price" in body) == (body["type"] == "limit")
        assert ("extended_hours" in body) == asked.extended_hours

    def test_what_alpaca_has_not_is_refused_before_it_is_sent(self, vendor, broker):
        asked = request(symbol="BTC/USD", asset_type="crypto", time_in_force="day")
        with pytest.raises(OrderRejected, match="gtc or ioc"):
            broker.submit_order(asked)
        assert vendor.calls == []

    def test_a_repeated_id_even_of_a_canceled_order(self, theirs, broker):
        asked = request()
        broker.submit_order(asked)
        theirs.cancel(asked.client_order_id)
        with pytest.raises(DuplicateClientOrderId):
            broker.submit_order(asked)
        assert theirs.accepted[asked.client_order_id] == 1

    @pytest.mark.parametrize(
        ("asked", "code"),
        [
            (request(qty=Decimal(100_000)), "insufficient_buying_power"),
            (request(side="sell"), "insufficient_position"),
            (request(symbol="OCGN", qty=Decimal("0.5")), "not_fractionable"),
            (request(limit_price=Decimal("290.123")), "price_off_grid"),
            (request(symbol="NOSUCH"), "instrument_not_tradable"),
            (request(qty=Decimal("0.5"), time_in_force="gtc"), "not_fractionable"),
        ],
    )
    def test_refusals_in_words(self, broker, asked, code):
        with pytest.raises(OrderRejected) as refused:
            broker.submit_order(asked)
        assert refused.value.code == code
        assert refused.value.detail.endswith(".") and "message" in refused.value.raw

    def test_a_wash_trade(self, theirs, broker):
        theirs.fill(theirs.external("AAPL", "buy", "5"), "5", "100")
        broker.submit_order(request(side="sell", limit_price=Decimal("100.10")))
        with pytest.raises(OrderRejected) as refused:
            broker.submit_order(request(limit_price=Decimal("100.20")))
        assert refused.value.code == "wash_trade"

    @pytest.mark.parametrize("flag", ["trading_blocked", "trade_suspended_by_user"])
    def test_a_blocked_account(self, theirs, broker, flag):
        setattr(theirs, flag, True)
        with pytest.raises(OrderRejected) as refused:
            broker.submit_order(request())
        assert refused.value.code == "account_blocked"
        assert broker.holdings().blocked != "" and not broker.check().may_trade


class TestLookups:
    def test_find_with_its_fills(self, theirs, broker):
        asked = request(qty=Decimal(12))
        assert broker.find_order(ref(asked)) is None
        broker.submit_order(asked)
        first = theirs.fill(asked.client_order_id, "9.5", "100.25")
        theirs.fill(asked.client_order_id, "2.5", "100.123456789")
        found = broker.find_order(ref(asked))
        assert found.state == OrderState.FILLED and found.complete
        assert found.filled_qty == 12
        assert [(one.qty, one.cum_qty) for one in found.fills] == [
            (Decimal("9.5"), Decimal("9.5")),
            (Decimal("2.5"), Decimal(12)),
        ]
        assert found.fills[1].price == Decimal("100.123456789")
        assert found.fills[0].trade_id == f"{found.broker_order_id}:000000000009.5"
        assert found.fills[0].trade_id < found.fills[1].trade_id
        assert found.fills[0].executed_at == first.at
        assert found.terms.symbol == "AAPL" and found.terms.limit_price == Decimal("100.50")

    def test_money_orders_know_their_quantity_from_fills(self, theirs, broker):
        asked = market(symbol="KO", qty=None, notional=Decimal(5))
        broker.submit_order(asked)
        theirs.fill(asked.client_order_id, "0.057552", "86.878")
        found = broker.find_order(ref(asked))
        assert found.complete and found.terms.qty is None and found.terms.notional == 5
        assert found.fills[0].cum_qty == found.filled_qty == Decimal("0.057552")

    def test_another_address_is_no_miss(self, vendor, broker):
        vendor.faults.add("by_client_id", answer(404, b'{"message":"endpoint not found."}'))
        vendor.faults.add("by_client_id", answer(404, b"<html>nginx</html>"), nth=2)
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                broker.find_order(ref(request()))

    def test_a_list_is_one_call_and_look_ups_for_those_missing(self, vendor, theirs, broker):
        asks = [request(limit_price=Decimal(90 + number)) for number in range(6)]
        for asked in asks:
            broker.submit_order(asked)
        theirs.cancel(asks[0].client_order_id)
        theirs.fill(asks[1].client_order_id, "1", "90")
        theirs.external("MSFT", "buy", "3")
        vendor.calls.clear()
        refs = [ref(asked) for asked in [*asks, request()]]
        found = {one.client_order_id: one for one in broker.list_orders(refs)}
        assert found.keys() == {asked.client_order_id for asked in asks}
        assert found[asks[0].client_order_id].state == OrderState.CANCELED
        assert len(found[asks[1].client_order_id].fills) == 1
        counted = [vendor.called(name) for name in ("orders", "by_client_id", "activities")]
        assert counted == [1, 2, 1]

    def test_fills_that_we_have_are_not_asked_for(self, vendor, theirs, broker):
        asked = request()
        broker.submit_order(asked)
        theirs.fill(asked.client_order_id, "1", "90")
        found = broker.list_orders([ref(asked, filled_qty=Decimal(1))])
        assert found[0].filled_qty == 1 and found[0].fills == ()
        assert vendor.called("activities") == 0

    def test_look_ups_are_capped(self, vendor, broker, settings):
        settings.BROKER_LOOKUPS_MAX = 3
        broker.list_orders([ref(request()) for _ in range(10)])
        assert vendor.called("by_client_id") == 3

    def test_an_old_order_that_is_booked_so_far_has_its_fills_read_no_more(
        self, vendor, theirs, broker
    ):
        made = theirs.external("AAPL", "buy", "10")
        theirs.fill(made, "4", "100")
        for have, told, asked in (("4", 0, 0), ("3", 1, 1)):
            booked = Decimal(have)
            [found] = broker.list_since(LONG_AGO, lambda names, n=booked: dict.fromkeys(names, n))
            assert (len(found.fills), vendor.called("activities")) == (told, asked)

    def test_the_list_of_fills_does_not_begin_with_the_oldest_order(self, vendor, theirs, broker):
        for days in (90, 80, 70, 60, 50, 0, 0):
            made = theirs.external("AAPL", "buy", "10")
            theirs.fill(made, "4", "100")
            made.created_at -= timedelta(days=days)
        found = broker.list_since(LONG_AGO)
        assert len(found) == 7 and all(len(one.fills) == 1 for one in found)
        paths = [path for name, _, path, _ in vendor.calls if name == "activities"]
        [after] = [
            told[0] for path in paths if (told := parse_qs(urlsplit(path).query).get("after"))
        ]
        assert datetime.now(UTC) - datetime.fromisoformat(after) < timedelta(hours=1)

    def test_fills_of_many_orders_come_in_one_list(self, vendor, theirs, broker):
        asks = [request(limit_price=Decimal(90 + number)) for number in range(12)]
        for asked in asks:
            broker.submit_order(asked)
            theirs.fill(asked.client_order_id, "2", "90")
        vendor.calls.clear()
        found = broker.list_since(datetime.now(UTC) - timedelta(hours=1))
        assert all(len(one.fills) == 1 and one.complete for one in found) and len(found) == 12
        assert vendor.called("activities") == FILL_LOOKUPS + 1

    def test_every_page_of_a_long_list(self, vendor, theirs, broker):
        names = {theirs.external("AAPL", "buy", "1").client_order_id for _ in range(1103)}
        since = datetime.now(UTC) - timedelta(hours=1)
        for order in list(theirs.orders.values())[:900]:
            theirs.cancel(order)
        found = broker.list_since(since)
        assert {one.client_order_id for one in found} == names and len(found) == 1103
        assert vendor.called("orders") == 1 + 3

    def test_open_orders_from_before_belong_to_the_list(self, theirs, broker):
        old = theirs.external("AAPL", "buy", "1")
        gone = theirs.external("MSFT", "buy", "1")
        theirs.cancel(gone)
        found = broker.list_since(datetime.now(UTC) + timedelta(hours=1))
        assert [one.client_order_id for one in found] == [old.client_order_id]

    def test_a_list_without_end_is_no_list(self, theirs, broker):
        for _ in range(500):
            theirs.external("AAPL", "buy", "1")
        first = theirs.now() + timedelta(hours=-1)
        for order in theirs.orders.values():
            order.created_at = first  # 500 of one moment: nobody can page through those
        with pytest.raises(OutcomeUnknown, match="does not end"):
            broker.list_since(LONG_AGO)

    def test_an_odd_order_hides_no_other(self, vendor, theirs, broker):
        theirs.external("AAPL", "buy", "1")
        odd = theirs.external("MSFT", "buy", "1")

        def change(rows: Any) -> Any:
            for row in rows:
                if row["id"] == odd.id:
                    row |= {"filled_qty": "many", "symbol": None}
            return rows

        vendor.faults.add("orders", edited(change), times=2)
        found = broker.list_since(LONG_AGO)
        assert len(found) == 2
        strange = next(one for one in found if one.broker_order_id == odd.id)
        assert strange.state is None and strange.terms is None and strange.filled_qty == 0

    def test_lists_with_fields_that_are_missing(self, vendor, theirs, broker):
        made = theirs.external("AAPL", "buy", "1")
        theirs.fill(made, "0.5", "100")

        def change(rows: Any) -> Any:
            gone = ("submitted_at", "updated_at", "id" if "activity_type" in rows[0] else "legs")
            return [{key: row[key] for key in row if key not in gone} for row in rows]

        vendor.faults.add("orders", edited(change), times=2)
        vendor.faults.add("activities", edited(change))
        [found] = broker.list_since(LONG_AGO)
        assert found.filled_qty == Decimal("0.5") and len(found.fills) == 1


class TestCancel:
    def test_asked_with_and_without_the_brokers_id(self, theirs, broker):
        for known in (True, False):
            asked = request()
            made = broker.submit_order(asked)
            broker.cancel_order(ref(asked, broker_order_id=made.broker_order_id if known else ""))
            assert broker.find_order(ref(asked)).state == OrderState.CANCELED

    def test_what_is_final_cannot_be_canceled(self, theirs, broker):
        asked = request()
        made = broker.submit_order(asked)
        theirs.fill(asked.client_order_id, "2", "100")
        with pytest.raises(NotCancelable):
            broker.cancel_order(ref(asked, broker_order_id=made.broker_order_id))

    def test_an_order_that_is_not_seen_yet(self, broker):
        with pytest.raises(OutcomeUnknown):
            broker.cancel_order(ref(request()))


class TestAccount:
    def test_holdings(self, theirs, broker):
        theirs.fill(theirs.external("AAPL", "buy", "3"), "3", "100.10")
        theirs.fill(theirs.external("BTC/USD", "buy", "0.5"), "0.5", "50000")
        found = broker.holdings()
        assert (found.currency, found.blocked, found.ignored) == ("USD", "", ())
        assert found.cash == Decimal("100000") - Decimal("300.30") - 25000
        assert [
            (one.symbol, one.asset_type, one.qty, one.cost_basis) for one in found.positions
        ] == [
            ("AAPL", "stock", Decimal(3), Decimal("300.3")),
            ("BTC/USD", "crypto", Decimal("0.5"), Decimal(25000)),
        ]

    def test_what_is_not_ours_is_named_and_a_short_position_is_negative(
        self, vendor, theirs, broker
    ):
        theirs.fill(theirs.external("AAPL", "buy", "3"), "3", "100.10")
        theirs.fill(theirs.external("MSFT", "buy", "3"), "3", "100.10")

        def change(rows: Any) -> Any:
            rows[0] |= {"side": "short"}
            rows[1] |= {"asset_class": "us_option", "symbol": "AAPL260101C00100000"}
            return rows

        vendor.faults.add("positions", edited(change))
        found = broker.holdings()
        assert [one.qty for one in found.positions] == [Decimal(-3)]
        assert found.ignored == ("AAPL260101C00100000 (us_option)",)

    def test_cash_that_moves_while_it_is_read(self, vendor, theirs, broker):
        def change(rows: Any) -> Any:
            theirs.deposit("10")
            return rows

        vendor.faults.add("positions", edited(change))
        assert broker.holdings().cash == 100_010
        assert vendor.called("positions") == 2

    def test_cash_events(self, theirs, broker):
        theirs.fill(theirs.external("AAPL", "buy", "3"), "3", "100.10")
        theirs.fill(theirs.external("BTC/USD", "buy", "1"), "1", "1000")
        first = theirs.deposit("500")
        theirs.deposit("-20")
        theirs.dividend("AAPL", "1.23")
        theirs.entry("DIVNRA", "-0.18", symbol="AAPL")
        theirs.entry("FEE", "-0.02")
        theirs.entry("CFEE", "0", symbol="BTCUSD", qty=Decimal("-0.0025"))
        theirs.entry("INT", "-3")
        theirs.entry("CSD", "7", status="canceled")
        theirs.entry("SPLIT", "0", symbol="AAPL", qty=Decimal(6))
        found = broker.cash_events(LONG_AGO)
        assert [(one.kind, one.amount, one.symbol, one.qty) for one in found] == [
            ("deposit", Decimal(500), "", 0),
            ("withdrawal", Decimal(-20), "", 0),
            ("dividend", Decimal("1.23"), "AAPL", 0),
            ("fee", Decimal("-0.18"), "AAPL", 0),
            ("fee", Decimal("-0.02"), "", 0),
            ("fee", Decimal(0), "BTC/USD", Decimal("-0.0025")),
            ("fee", Decimal(-3), "", 0),
        ]
        assert found[0].event_id == first and found[0].at.tzinfo is UTC

    def test_more_events_than_a_page(self, vendor, theirs, broker):
        ids = [theirs.deposit("1") for _ in range(250)]
        assert [one.event_id for one in broker.cash_events(LONG_AGO)] == ids
        assert vendor.called("activities") == 3

    def test_a_vendor_without_activities(self, vendor, broker):
        vendor.faults.add("activities", answer(404, b'{"code":40410000,"message":"not found"}'))
        assert broker.cash_events(LONG_AGO) == []

    def test_check(self, vendor, theirs, broker):
        facts = broker.check()
        assert facts.may_trade and theirs.number in facts.words and "Paper" in facts.words
        assert abs(facts.clock_offset) < timedelta(seconds=1)

    def test_a_vendor_without_a_clock(self, vendor, broker):
        vendor.faults.add("clock", answer(404, b'{"code":40410000,"message":"not found"}'))
        facts = broker.check()
        assert (facts.clock_offset, facts.clock_doubt) == (-CLOCK_GUESS, 2 * CLOCK_GUESS)
        vendor.faults.add("clock", answer(404, b"404: Not Found"))
        assert broker.check() == facts

    @pytest.mark.parametrize("seconds", [10, -10])
    def test_a_clock_that_is_off(self, vendor, broker, seconds):
        vendor.clock_offset = timedelta(seconds=seconds)
        assert abs(broker.check().clock_offset - vendor.clock_offset) < timedelta(seconds=1)

    @pytest.mark.parametrize(
        ("key", "mode", "words"),
        [
            ("PKWRONG", "paper", "does not know this key for paper"),
            ("AKLIVE", "paper", "one of a live account"),
            ("PKWRONG", "live", "one of a paper account"),
        ],
    )
    def test_a_wrong_key_in_words(self, vendor, theirs, key, mode, words):
        with pytest.raises(AuthFailed, match=words):
            AlpacaBroker(1, BrokerKey(key, "secret"), mode).check()

    def test_a_key_that_is_taken_back(self, theirs, broker):
        broker.submit_order(request())
        theirs.secret = "another"
        with pytest.raises(AuthFailed):
            broker.submit_order(request())
        with pytest.raises(AuthFailed):
            broker.find_order(ref(request()))

    def test_budget(self, vendor, broker):
        broker.check()
        assert broker.budget.remaining == 200 - 2
        assert timedelta(0) <= broker.budget.resets_at - datetime.now(UTC) <= timedelta(minutes=1)
        vendor.tells_limits = False
        broker.check()
        assert broker.budget.remaining is None and broker.budget.resets_at is None


class TestThreads:
    def test_threads_that_share_a_door_read_their_own_headers(self, vendor, broker):
        """One adapter serves all threads of a worker; the limit is read after each call."""
        vendor.faults.add("clock", answer(429, b"{}", Retry_After="77"))
        seen: list[Any] = []

        def limited() -> None:
            with pytest.raises(RateLimited) as error:
                broker.check()
            seen.append(error.value.retry_at)

        other = threading.Thread(target=limited)
        broker.holdings()
        before = broker.budget
        other.start()
        other.join()
        assert broker.budget == before
        assert seen[0] - datetime.now(UTC) > timedelta(seconds=60)


class TestAddresses:
    @pytest.fixture
    def live(self, settings):
        """A live vendor of its own beside the paper one."""
        from speedtrade.testing.vendors.alpaca import AlpacaVendor

        with AlpacaVendor() as made:
            made.open_account("PKALICE", "secret")
            settings.ALPACA_LIVE_TRADING_URL = made.url
            yield made

    def test_a_paper_account_never_reaches_the_live_address(self, vendor, theirs, live):
        broker = AlpacaBroker(1, BrokerKey("PKALICE", "secret"), "paper")
        asked = request()
        broker.submit_order(asked)
        broker.cancel_order(ref(asked))
        broker.holdings(), broker.check(), broker.cash_events(LONG_AGO), broker.list_since(LONG_AGO)
        assert live.calls == [] and vendor.calls != []

    def test_nor_by_a_redirect(self, vendor, broker, live):
        away = answer(302, b"", Location=f"{live.url}/v2/orders")
        vendor.faults.add("submit", away)
        vendor.faults.add("account", away)
        with pytest.raises(OutcomeUnknown):
            broker.submit_order(request())
        with pytest.raises(OutcomeUnknown):
            broker.check()
        assert live.calls == []

    def test_nor_by_settings_that_are_swapped(self, settings):
        key = BrokerKey("PKALICE", "secret")
        settings.ALPACA_TRADING_URL = "https://API.alpaca.markets"
        with pytest.raises(AuthFailed, match="ALPACA_TRADING_URL"):
            AlpacaBroker(1, key, "paper")
        settings.ALPACA_LIVE_TRADING_URL = "https://paper-api.alpaca.markets"
        with pytest.raises(AuthFailed, match="ALPACA_LIVE_TRADING_URL"):
            AlpacaBroker(1, key, "live")

    def test_an_empty_key(self, vendor):
        with pytest.raises(AuthFailed):
            AlpacaBroker(1, BrokerKey("", ""), "paper")

    def test_the_key_shows_nowhere(self, broker):
        assert "secret" not in repr(vars(broker)) and "PKALICE" not in repr(vars(broker))

    def test_the_interface_alone_does_not_import_the_package(self):
        code = (
            "import sys, trading.brokers.base, trading.brokers.capabilities\n"
            "assert not {'alpaca', 'pandas', 'requests'} & set(sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
