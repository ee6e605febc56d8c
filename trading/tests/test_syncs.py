"""An account at a broker from its first reading on, with the real adapter against the loopback."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.keys import BrokerKey
from accounts.models import BrokerageAccount, User
from accounts.services.connections import account_connect, account_disconnect, account_reconnect
from accounts.services.syncs import account_fail
from marketdata.models import Instrument
from portfolio.models import Hold, JournalEntry, LedgerAccount, Position
from portfolio.selectors import summary_get
from portfolio.services.rebuild import ledger_differences
from speedtrade.lib.errors import Conflict, DomainError
from speedtrade.testing import market
from speedtrade.testing.cast import ApiClient, page_client
from speedtrade.testing.vendors.alpaca import AlpacaVendor
from speedtrade.testing.vendors.alpaca_book import VendorAccount, VendorPosition
from speedtrade.testing.vendors.faults import drop_after, drop_before, gateway
from trading.brokers.alpaca.adapter import AlpacaBroker
from trading.cautions import cautions
from trading.desks import desk_of, judge
from trading.domain.orders import OrderIntent, OrderType, Side, TimeInForce
from trading.domain.risk import Denied
from trading.models import (
    BrokerLink,
    Difference,
    DifferenceSighting,
    Fill,
    Order,
    Submission,
    SubmissionAction,
)
from trading.selectors.facts import BLIND
from trading.services import orders, syncs
from trading.services.differences import difference_accept
from trading.services.executions import ABSENT
from trading.services.lost import lost_release
from trading.services.orders import KeyReused, order_cancel, order_place
from trading.services.outbox import submission_add
from trading.services.reconciliation import submissions_sweep
from trading.services.streams import stream_gap, stream_report
from trading.services.submissions import submission_process
from trading.services.syncs import account_sync, accounts_due
from trading.standing import TAKEN, standing_context, standing_of

D = Decimal
KEY = BrokerKey("PKALICE0123456789", "secret-of-alice")


@dataclass
class Line:
    """Alice's account at the vendor, and the steps that processes take for it."""

    user: User
    vendor: AlpacaVendor
    theirs: VendorAccount
    account: BrokerageAccount

    def sync(self) -> bool:
        done = account_sync(account_id=self.account.pk, now=timezone.now())
        self.account.refresh_from_db()
        return done

    def compare(self) -> None:
        """A synchronisation that reads cash and positions too."""
        BrokerLink.objects.update(holdings_at=None)
        assert self.sync()

    def place(
        self,
        side: str = "buy",
        qty: str = "10",
        limit: str | None = "100.00",
        *,
        key: str | None = None,
        account: BrokerageAccount | None = None,
        client_order_id: str | None = None,
    ) -> Order:
        intent = replace(self.intent(side, qty, limit), client_order_id=client_order_id)
        self.price()
        return order_place(
            account=account or self.account,
            instrument=Instrument.objects.get(symbol="AAPL"),
            intent=intent,
            quote=market.quote("AAPL", "99.99", "100.00", now=timezone.now()),
            key=key,
            placed_by=self.user,
            source="api",
            now=timezone.now(),
        ).order

    def intent(
        self, side: str = "buy", qty: str = "10", limit: str | None = "100.00"
    ) -> OrderIntent:
        return OrderIntent(
            symbol="AAPL",
            side=Side(side),
            order_type=OrderType.LIMIT if limit else OrderType.MARKET,
            time_in_force=TimeInForce.DAY,
            qty=D(qty),
            limit_price=D(limit) if limit else None,
            asset_type="stock",
        )

    def price(self, bid: str = "99.99", ask: str = "100.00") -> None:
        market.put_quote(market.quote("AAPL", bid, ask, now=timezone.now()))

    def send(self, order: Order) -> Order:
        for pk in Submission.objects.filter(order=order, done_at=None).values_list("pk", flat=True):
            submission_process(submission_id=pk, now=timezone.now())
        return self.fresh(order)

    def fresh(self, order: Order) -> Order:
        return Order.objects.select_related("instrument", "brokerage_account").get(pk=order.pk)

    def cancel(self, order: Order) -> Order:
        order_cancel(order=order, actor=self.user, source="api", now=timezone.now())
        return self.send(order)

    def pocket(self, kind: str = "cash", asset: str = "USD") -> LedgerAccount:
        return LedgerAccount.objects.get(brokerage_account=self.account, kind=kind, asset=asset)

    def look(self, order: Order, after: float) -> None:
        """The sweep, so many seconds from now."""
        submissions_sweep(now=timezone.now() + timedelta(seconds=after), wake=lambda pk: None)

    def agree(self) -> None:
        """Our books are clean and say what the vendor's say."""
        assert [str(one) for one in ledger_differences()] == []
        assert self.pocket().balance == self.theirs.cash
        mine = {
            row.instrument.symbol: row.qty
            for row in Position.objects.filter(brokerage_account=self.account, qty__gt=0)
        }
        assert mine == {symbol: row.qty for symbol, row in self.theirs.positions.items()}
        assert all(count == 1 for count in self.theirs.accepted.values())
        assert self.vendor.drift == []


def connect(user: User, key: BrokerKey = KEY) -> BrokerageAccount:
    return account_connect(user=user, broker="alpaca", mode="paper", key=key, now=timezone.now())


@pytest.fixture
def vendor(settings: Any) -> Iterator[AlpacaVendor]:
    with AlpacaVendor() as made:
        settings.ALPACA_TRADING_URL = made.url
        settings.BROKER_TIMEOUT = (2.0, 20.0)  # nothing hangs here
        yield made


@pytest.fixture
def line(db: None, alice: User, vendor: AlpacaVendor) -> Line:
    """Connected, with 5 AAPL that cost 450 and 10,000 in cash, and read once."""
    market.instrument("AAPL")
    theirs = vendor.open_account(KEY.api_key, KEY.secret_key, cash="10450")
    theirs.fill(theirs.external("AAPL", "buy", "5"), "5", "90")
    account = connect(alice)
    made = Line(alice, vendor, theirs, account)
    assert made.sync()
    return made


# ── the first reading ────────────────────────────────────────────────────────
def test_a_new_account_arrives_with_its_cash_and_positions(line: Line):
    assert (line.account.status, line.account.status_reason) == ("active", "")
    assert line.account.last_synced_at is not None
    line.price()
    summary = summary_get(account=line.account, now=timezone.now())
    assert summary.cash_balance == 10_000
    position = Position.objects.get(brokerage_account=line.account)
    assert (position.qty, position.cost_basis, position.realized_pl) == (5, 450, 0)
    assert summary.net_deposits == 10_450, "what was brought in counts at what it cost"
    line.agree()
    assert Order.objects.count() == 0, "what was final before our books is not in them"


def test_books_begin_in_the_currency_that_the_broker_keeps_the_account_in(
    alice: User, vendor: AlpacaVendor, monkeypatch: pytest.MonkeyPatch
):
    """Fails where the currency is written down after the books began: cash would be in dollars."""
    read = AlpacaBroker.holdings
    monkeypatch.setattr(AlpacaBroker, "holdings", lambda own: replace(read(own), currency="EUR"))
    theirs = vendor.open_account(KEY.api_key, KEY.secret_key, cash="10000")
    line = Line(alice, vendor, theirs, connect(alice))
    assert line.sync()
    assert (line.account.status, line.account.currency) == ("active", "EUR")
    assert line.pocket(asset="EUR").balance == 10_000


def test_an_open_order_of_before_is_taken_in_with_what_is_left_of_it(
    alice: User, vendor: AlpacaVendor
):
    """Fails without `cum_base`: three shares would be booked twice."""
    market.instrument("AAPL")
    theirs = vendor.open_account(KEY.api_key, KEY.secret_key, cash="10000")
    before = theirs.external("AAPL", "buy", "10", limit_price=D(100))
    theirs.fill(before, "3", "100")
    account = connect(alice)
    line = Line(alice, vendor, theirs, account)
    assert line.sync()
    order = Order.objects.get()
    assert (order.external, order.qty, order.filled_qty, order.state) == (True, 7, 0, "new")
    assert Hold.objects.get(order_ref=order.pk).amount == 700
    line.agree()
    theirs.fill(before, "7", "99")
    line.compare()
    order.refresh_from_db()
    assert (order.state, order.filled_qty, order.filled_notional) == ("filled", 7, 693)
    line.agree()


@pytest.mark.parametrize(
    ("terms", "kept", "words"),
    [
        ({"type": "stop", "stop_price": "90"}, {"stop_price": "90.00"}, "Stop $90.00"),
        (
            {"type": "stop_limit", "stop_price": "90", "limit_price": "89.5"},
            {"stop_price": "90.00", "limit_price": "89.50"},
            "Stop Limit $90.00, limit $89.50",
        ),
        (
            {"type": "trailing_stop", "trail_percent": "2.5", "stop_price": "97.5"},
            {"trail_percent": "2.5"},
            "Trailing Stop by 2.50%",
        ),
        (
            {"type": "trailing_stop", "trail_price": "3", "stop_price": "97"},
            {"trail_price": "3.00"},
            "Trailing Stop by $3.00",
        ),
    ],
)
def test_a_stop_that_was_placed_at_the_broker_is_told_with_its_price(
    line: Line, terms: dict[str, str], kept: dict[str, str], words: str
) -> None:
    """Fails where the API and the page show it as an order that waits for nothing."""
    numbers = {name: D(value) for name, value in terms.items() if name != "type"}
    line.theirs.external("AAPL", "sell", "1", type=terms["type"], **numbers)
    line.compare()
    answer = ApiClient(line.user)("GET", f"orders?account_id={line.account.pk}")
    (told,) = answer.json()["results"]
    names = ("stop_price", "trail_price", "trail_percent", "limit_price")
    assert told["order_type"] == terms["type"]
    assert {name: told[name] for name in names if told[name] is not None} == kept
    page = page_client(line.user).get(f"/orders/{told['id']}").content.decode()
    assert words in page


def test_an_order_of_before_that_the_list_shows_late_is_taken_in_with_what_came_after(
    alice: User, vendor: AlpacaVendor
):
    """Fails where an order older than our books is passed over: its fill would have no order."""
    market.instrument("AAPL")
    theirs = vendor.open_account(KEY.api_key, KEY.secret_key, cash="10000")
    before = theirs.external("AAPL", "buy", "10", limit_price=D(100))
    gone = theirs.external("AAPL", "buy", "1", limit_price=D(100))
    theirs.fill(before, "3", "100")
    theirs.fill(gone, "1", "100")
    hidden, theirs.orders = theirs.orders, {}
    line = Line(alice, vendor, theirs, connect(alice))
    assert line.sync()
    theirs.orders = hidden
    theirs.fill(before, "2", "99")
    line.compare()
    order = Order.objects.get()
    assert (order.cum_base, order.qty, order.filled_qty) == (3, 7, 2)
    line.agree()
    assert not Difference.objects.exists()


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (BrokerKey("PKNOBODY0123456789", "x"), "Alpaca does not know this key"),
        (BrokerKey("AKLIVE00123456789", "x"), "looks like one of a live account"),
    ],
)
@pytest.mark.fault("F33")
def test_a_wrong_key_is_an_error_in_words_and_starts_no_books(
    alice: User, vendor: AlpacaVendor, key: BrokerKey, words: str
):
    account = account_connect(
        user=alice, broker="alpaca", mode="paper", key=key, now=timezone.now()
    )
    assert not account_sync(account_id=account.pk, now=timezone.now())
    account.refresh_from_db()
    assert account.status == "error" and words in account.status_reason
    assert not JournalEntry.objects.filter(brokerage_account=account).exists()


def test_an_account_that_may_not_trade_says_why(alice: User, vendor: AlpacaVendor):
    theirs = vendor.open_account(KEY.api_key, KEY.secret_key)
    theirs.trading_blocked = True
    account = connect(alice)
    account_sync(account_id=account.pk, now=timezone.now())
    account.refresh_from_db()
    assert account.status == "error" and account.status_reason
    theirs.trading_blocked = False
    BrokerLink.objects.update(attempted_at=None)
    assert accounts_due(now=timezone.now()) == [account.pk]
    assert account_sync(account_id=account.pk, now=timezone.now())
    account.refresh_from_db()
    assert account.status == "active"


def test_an_account_that_may_not_trade_hears_what_became_of_its_orders(line: Line):
    """Fails where the key is refused first: fills stay untold for as long as the block lasts."""
    order = line.send(line.place())
    account_fail(account_id=line.account.pk, reason="a new key", now=timezone.now())
    line.theirs.trading_blocked = True
    line.theirs.fill(line.theirs.by_client_id(order.client_order_id) or "", "4", "100")
    assert not line.sync()
    assert (line.account.status, line.fresh(order).filled_qty) == ("error", 4)
    assert "block" in line.account.status_reason
    line.theirs.trading_blocked = False
    assert line.sync()
    assert line.account.status == "active"


def test_a_short_position_is_not_accepted_and_says_what_to_do(line: Line):
    """Fails where the books raise: the desk would answer with an error of ours."""
    line.theirs.positions["AAPL"].qty = D(-1)
    line.compare()
    line.compare()
    row = Difference.objects.get(kind="position")
    with pytest.raises(Conflict, match="short"):
        difference_accept(difference_id=row.pk, actor=line.user, reason="x", now=timezone.now())
    row.refresh_from_db()
    assert row.ended_at is None


def test_a_broker_that_does_not_answer_is_an_error_within_thirty_seconds(
    alice: User, vendor: AlpacaVendor
):
    vendor.stop()
    account = connect(alice)
    account_sync(account_id=account.pk, now=timezone.now())
    account.refresh_from_db()
    assert account.status == "connecting"
    account_sync(account_id=account.pk, now=timezone.now() + timedelta(seconds=25))
    account.refresh_from_db()
    assert (account.status, account.status_reason) == (
        "error",
        "The broker does not answer. We go on trying.",
    )


def test_two_keys_of_one_account_do_not_make_two_books(line: Line):
    """Fails without the account's own name: each fill would count in both."""
    second = BrokerKey("PKSECOND0123456789", "another-secret")
    line.vendor.accounts[second.api_key] = line.theirs
    line.theirs.secret = second.secret_key
    twin = connect(line.user, second)
    assert not account_sync(account_id=twin.pk, now=timezone.now())
    twin.refresh_from_db()
    assert twin.status == "error" and "connected here already" in twin.status_reason


def test_a_new_key_must_be_for_the_same_account(line: Line):
    other = BrokerKey("PKOTHER00123456789", "another-secret")
    line.vendor.open_account(other.api_key, other.secret_key, cash="1")
    account_reconnect(account=line.account, key=other, actor=line.user, now=timezone.now())
    assert not line.sync()
    assert line.account.status == "error" and "another account" in line.account.status_reason
    assert line.pocket().balance == 10_000


# ── an order's life ──────────────────────────────────────────────────────────
def test_an_order_goes_out_once_and_its_fills_come_in(line: Line):
    order = line.send(line.place())
    assert order.state in {"accepted", "new"}
    assert order.broker_order_id in line.theirs.orders
    line.theirs.fill(order.client_order_id, "4", "99.50")
    line.sync()
    assert (line.fresh(order).state, line.fresh(order).filled_qty) == ("partially_filled", 4)
    assert Hold.objects.get(order_ref=order.pk).amount == 600
    line.theirs.fill(order.client_order_id, "6", "100.00")
    line.compare()
    assert line.fresh(order).state == "filled"
    assert line.pocket().balance == 9_002
    line.agree()


def test_one_key_in_two_accounts_at_the_same_moment_is_one_order(
    line: Line, monkeypatch: pytest.MonkeyPatch
):
    """Each account has its lock, so only the constraint sees both; without its catch: a 500."""
    line.place(key="k")
    paper = BrokerageAccount.objects.get(user=line.user, broker="paper")
    looked, look = [], orders._known
    monkeypatch.setattr(
        orders, "_known", lambda *known: look(*known) if looked else looked.append(1)
    )
    with pytest.raises(KeyReused):
        line.place(key="k", account=paper)
    assert Order.objects.count() == 1


def test_a_stream_and_a_poll_tell_of_one_fill_once(line: Line):
    """Fails without the stretches: the two channels would have to name it alike."""
    from trading.brokers.registry import broker_for
    from trading.services.submissions import ref_of

    order = line.send(line.place())
    line.theirs.fill(order.client_order_id, "4", "99.50")
    report = broker_for(line.account).find_order(ref_of(order))
    assert report is not None
    stream_report(line.account.pk, report)
    odd = [type(one)(**{**_fields(one), "trade_id": "another name"}) for one in report.fills]
    stream_report(line.account.pk, type(report)(**{**_fields(report), "fills": tuple(odd)}))
    line.sync()
    assert Fill.objects.filter(order=order).count() == 1
    line.agree()


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def test_an_answer_lost_on_the_way_is_adopted_and_nothing_is_sent_twice(line: Line):
    line.vendor.faults.add("submit", drop_after())
    order = line.send(line.place())
    assert order.state == "submitting"
    line.look(order, after=6)
    assert line.fresh(order).state in {"accepted", "new"}
    assert line.vendor.called("submit") == 1
    line.agree()


def test_an_id_that_served_the_broker_before_is_refused_and_not_adopted(line: Line):
    """Fails without a look at what it is: last week's order would be booked as this one."""
    other = line.theirs.external("AAPL", "buy", "2")
    other.created_at -= timedelta(days=7)
    line.theirs.fill(other, "2", "100")
    line.compare()
    line.price()
    order = line.place(client_order_id=other.client_order_id)
    order = line.send(order)
    assert (order.state, order.reject_code) == ("rejected", "client_order_id_taken")
    assert line.pocket().reserved == 0 and not Fill.objects.filter(order=order).exists()


def test_a_clock_that_is_hours_wrong_makes_no_stranger_of_our_own_order(line: Line):
    """Fails where age alone decides: a live order would be called refused, its hold released."""
    line.vendor.clock_offset = -timedelta(hours=3)
    line.vendor.faults.add("submit", drop_after())
    order = line.send(line.place())
    line.look(order, after=6)
    order = line.fresh(order)
    assert order.state in {"accepted", "new"} and order.reject_code == ""
    assert Hold.objects.get(order_ref=order.pk).amount == 1000


def test_an_order_that_never_arrived_is_lost_in_words_and_can_be_given_up(line: Line):
    line.vendor.faults.add("submit", drop_before())
    order = line.send(line.place())
    for after in (6, 12, 18, 24, 31):
        line.look(order, after=after)
    order = line.fresh(order)
    assert (order.state, Hold.objects.get(order_ref=order.pk).amount) == ("lost", 1000)
    assert line.vendor.called("submit") == 1, "nothing is sent again"
    lost_release(
        order=order, actor=line.user, reason="not there", source="admin", now=timezone.now()
    )
    order = line.fresh(order)
    assert (order.state, order.reject_code) == ("rejected", ABSENT)
    assert line.pocket().reserved == 0


@pytest.mark.parametrize("cancel", [False, True])
def test_what_was_given_up_and_turns_up_is_taken_in_again(line: Line, cancel: bool):
    """Fails without the way back out of `rejected`: the fill would have no order."""
    line.vendor.faults.add("submit", drop_after())
    order = line.send(line.place())
    theirs = line.theirs.by_client_id(order.client_order_id)
    assert theirs is not None
    del line.theirs.orders[theirs.id]
    for after in (6, 12, 18, 24, 31):
        line.look(order, after=after)
    if cancel:
        submission_add(order=order, action=SubmissionAction.CANCEL, now=timezone.now())
    lost_release(
        order=line.fresh(order), actor=line.user, reason="gone", source="admin", now=timezone.now()
    )
    line.theirs.orders[theirs.id] = theirs
    line.theirs.fill(theirs, "4", "100")
    line.sync()
    order = line.fresh(order)
    # A cancel that its user asked for, and never took back, is asked for again.
    expected = "pending_cancel" if cancel else "partially_filled"
    assert (order.state, order.filled_qty, order.reject_code) == (expected, 4, "")
    assert Hold.objects.get(order_ref=order.pk).amount == 600
    line.agree()


def test_nobody_gives_up_an_order_while_the_broker_cannot_be_read(line: Line):
    line.vendor.faults.add("submit", drop_before())
    order = line.send(line.place())
    for after in (6, 12, 18, 24, 31):
        line.look(order, after=after)
    later = timezone.now() + timedelta(seconds=90)
    with pytest.raises(DomainError):
        lost_release(
            order=line.fresh(order), actor=line.user, reason="x", source="admin", now=later
        )
    assert line.fresh(order).state == "lost"


def test_a_cancel_is_asked_for_and_believed_when_it_is_confirmed(line: Line):
    line.vendor.cancels_at_once = False
    order = line.send(line.place())
    order = line.cancel(order)
    assert order.state == "pending_cancel", "204 says only that it was heard"
    line.theirs.set_status(order.client_order_id, "canceled")
    line.sync()
    assert line.fresh(order).state == "canceled"
    assert line.pocket().reserved == 0


def test_a_vendor_that_is_down_gets_the_order_when_it_is_back_or_never(line: Line):
    line.vendor.stop()
    first = line.send(line.place())
    assert first.state == "pending"
    line.vendor.start()
    Submission.objects.update(available_at=timezone.now())
    assert line.send(first).state in {"accepted", "new"}
    line.vendor.stop()
    second = line.place()
    Order.objects.filter(pk=second.pk).update(created_at=timezone.now() - timedelta(minutes=3))
    second = line.send(second)
    assert second.state == "canceled", "the market of three minutes ago is gone"
    line.vendor.start()
    assert line.pocket().reserved == 1000


# ── what others did ──────────────────────────────────────────────────────────
def test_orders_made_elsewhere_are_found_and_their_fills_booked(line: Line):
    elsewhere = line.theirs.external("AAPL", "buy", "2", limit_price=D(80))
    line.sync()
    order = Order.objects.get(client_order_id=elsewhere.client_order_id)
    assert order.external and order.state == "new"
    assert order.events.first().reason.startswith("found at the broker")  # type: ignore[union-attr]
    line.theirs.fill(elsewhere, "2", "80")
    line.compare()
    assert line.fresh(order).state == "filled"
    line.agree()
    assert not Difference.objects.exists()


def test_deposits_dividends_and_fees_are_booked_once(line: Line):
    line.theirs.deposit("500")
    line.theirs.dividend("AAPL", "1.25")
    line.theirs.entry("FEE", "-0.02")
    line.compare()
    line.compare()
    kinds = JournalEntry.objects.filter(reference__startswith="event:").order_by("kind")
    assert [(row.kind, row.amount) for row in kinds] == [
        ("deposit", D(500)),
        ("dividend", D("1.25")),
        ("fee", D("-0.02")),
    ]
    line.agree()
    assert not Difference.objects.exists()


@pytest.fixture
def unpriced(alice: User, vendor: AlpacaVendor) -> Line:
    """Opened with 4 of a share that nobody prices, and whose cost the vendor does not tell."""
    theirs = vendor.open_account(KEY.api_key, KEY.secret_key, cash="10000")
    theirs.positions["NEWCO"] = VendorPosition(D(4), D(0))
    made = Line(alice, vendor, theirs, connect(alice))
    assert made.sync()
    assert BrokerLink.objects.get().ignored == ["NEWCO"]
    assert not Position.objects.exists()
    return made


def listed() -> None:
    """The share gets a price."""
    market.put_quote(market.quote("NEWCO", "49.99", "50.00", now=timezone.now()))


def test_a_holding_that_was_left_out_comes_in_once_it_has_a_price(unpriced: Line):
    """Fails where it is left out for good: it would never be worth anything here."""
    unpriced.compare()
    assert not Difference.objects.exists(), "without a price it is left out, and no difference"
    listed()
    unpriced.compare()
    assert not Position.objects.exists(), "one sight may be a fill on its way"
    unpriced.compare()
    held = Position.objects.get()
    assert (held.qty, held.cost_basis, held.realized_pl) == (4, 200, 0)
    assert BrokerLink.objects.get().ignored == []
    row = Difference.objects.get()
    assert row.ended_at is not None and row.accepted_by is None
    assert row.reason == "it was there before our books, and has a price now"
    unpriced.agree()
    # What comes without an order from now on is for a person, as anywhere.
    unpriced.theirs.positions["NEWCO"].qty += 1
    unpriced.compare()
    unpriced.compare()
    assert Position.objects.get().qty == 4
    assert Difference.objects.filter(ended_at=None).count() == 1


def test_a_holding_that_was_left_out_waits_while_an_order_works_on_it(unpriced: Line):
    """Fails without the look for orders: what fills would count as brought in, and then again."""
    bought = unpriced.theirs.external("NEWCO", "buy", "2", limit_price=D(60))
    listed()
    unpriced.theirs.fill(bought, "1", "50")
    for _ in range(3):
        unpriced.compare()
    assert Position.objects.get().qty == 1
    unpriced.theirs.fill(bought, "1", "50")
    for _ in range(3):
        unpriced.compare()
    assert (Position.objects.get().qty, BrokerLink.objects.get().ignored) == (6, [])
    unpriced.agree()


def test_a_holding_that_was_left_out_and_is_gone_is_forgotten(unpriced: Line):
    del unpriced.theirs.positions["NEWCO"]
    unpriced.compare()
    assert BrokerLink.objects.get().ignored == []


@pytest.mark.parametrize("priced", [False, True])
@pytest.mark.parametrize("parts", [["4"], ["1", "3"]])
def test_a_holding_that_was_left_out_and_is_sold_there_is_sold_here(
    unpriced: Line, priced: bool, parts: list[str]
):
    """Fails where its fills sell what our books have not: the order would wait for an answer."""
    if priced:
        listed()
    sold = unpriced.theirs.external("NEWCO", "sell", "4", limit_price=D(50))
    for qty in parts:
        unpriced.theirs.fill(sold, qty, "50.10")
        assert unpriced.sync()
    order = Order.objects.get()
    assert (order.state, order.filled_qty, order.external) == ("filled", 4, True)
    held = Position.objects.get()
    assert (held.qty, held.realized_pl) == (0, 0), "it came at what it went for: no gain, no loss"
    assert summary_get(account=unpriced.account, now=timezone.now()).net_deposits == D("10200.40")
    unpriced.compare()
    unpriced.compare()
    assert BrokerLink.objects.get().ignored == []
    assert not Difference.objects.exists()
    unpriced.agree()


def test_what_is_left_of_a_holding_that_was_left_out_stays_so(unpriced: Line):
    sold = unpriced.theirs.external("NEWCO", "sell", "3", limit_price=D(50))
    unpriced.theirs.fill(sold, "3", "50")
    for _ in range(3):
        unpriced.compare()
    assert (Order.objects.get().state, Position.objects.get().qty) == ("filled", 0)
    assert BrokerLink.objects.get().ignored == ["NEWCO"]
    assert not Difference.objects.exists()
    listed()
    unpriced.compare()
    unpriced.compare()
    assert (Position.objects.get().qty, BrokerLink.objects.get().ignored) == (1, [])
    unpriced.agree()


def test_what_our_books_cannot_sell_is_a_difference_for_a_person(line: Line):
    """Fails where an order found there counts as on its way: nothing would be compared again."""
    short = line.theirs.external("AAPL", "sell", "6")
    line.theirs.fill(short, "6", "100")
    line.compare()
    line.compare()
    seen = Difference.objects.filter(ended_at=None).values_list("kind", "asset", "ours", "theirs")
    assert sorted(seen) == [("cash", "USD", 10_000, 10_600), ("position", "AAPL", 5, -1)]


def test_a_difference_is_seen_watched_and_ended_by_agreement(line: Line):
    line.theirs.cash += 7
    line.compare()
    row = Difference.objects.get()
    assert (row.kind, row.ours, row.theirs, row.sightings) == ("cash", 10_000, 10_007, 1)
    line.theirs.cash += 1
    line.compare()
    line.compare()
    row.refresh_from_db()
    assert row.sightings == 3 and row.ended_at is None
    assert DifferenceSighting.objects.count() == 2, "a line for each change of the figures"
    assert line.pocket().balance == 10_000, "nothing is corrected in silence"
    line.theirs.cash -= 8
    line.compare()
    row.refresh_from_db()
    assert row.ended_at is not None


def test_a_difference_ends_by_a_person_with_a_reason(line: Line):
    line.theirs.cash += 7
    line.theirs.positions["AAPL"].qty += 2
    line.compare()
    line.compare()
    line.price()
    for row in Difference.objects.filter(ended_at__isnull=True):
        with pytest.raises(DomainError):
            difference_accept(difference_id=row.pk, actor=line.user, reason=" ", now=timezone.now())
        difference_accept(
            difference_id=row.pk, actor=line.user, reason="a gift", now=timezone.now()
        )
    line.agree()
    line.compare()
    assert not Difference.objects.filter(ended_at__isnull=True).exists()
    with pytest.raises(Conflict):
        difference_accept(difference_id=row.pk, actor=line.user, reason="x", now=timezone.now())


def test_fills_that_the_broker_never_lists_are_made_up_from_the_orders_average(
    line: Line, settings: Any
):
    order = line.send(line.place())
    line.theirs.fill(order.client_order_id, "4", "99.00")
    line.theirs.fill(order.client_order_id, "6", "100.00")
    hidden, line.theirs.activities = line.theirs.activities, []
    line.sync()
    assert (line.fresh(order).state, line.fresh(order).filled_qty) != ("filled", 10)
    settings.FILLS_MISSING_AFTER = timedelta(0)
    line.sync()
    order = line.fresh(order)
    assert (order.state, order.filled_qty, order.filled_notional) == ("filled", 10, 996)
    line.theirs.activities = hidden
    line.compare()
    assert Fill.objects.filter(order=order).count() == 1, "the real ones change nothing"
    line.agree()


def test_a_ticket_says_that_the_prices_here_are_not_the_brokers(line: Line):
    instrument = Instrument.objects.get(symbol="AAPL")
    line.price()
    intent = line.intent()
    for account, said in (
        (line.account, True),
        (BrokerageAccount.objects.get(user=line.user, broker="paper"), False),
    ):
        desk = desk_of(account=account, instrument=instrument, now=timezone.now())
        told = cautions(desk, intent, judge(desk, intent))
        assert any("simulated" in words for words in told) is said


# ── a line that is sick ──────────────────────────────────────────────────────
def test_a_blind_account_takes_no_new_orders_and_says_why(line: Line):
    BrokerLink.objects.update(orders_at=timezone.now() - timedelta(seconds=61))
    with pytest.raises(Denied) as refusal:
        line.place()
    assert refusal.value.code == "account_blind"
    line.sync()
    assert line.place().state == "pending"


def test_an_open_page_of_a_blind_account_shuts_its_ticket_until_it_sees_again(
    line: Line, monkeypatch: pytest.MonkeyPatch
):
    """Fails where the desk says nothing of it, or where nobody tells the page that it is over."""
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(syncs, "live_publish", lambda **of: told.append(of))
    instrument, account = Instrument.objects.get(symbol="AAPL"), line.account
    line.sync()
    assert told == [], "it saw all the time"
    BrokerLink.objects.update(orders_at=timezone.now() - timedelta(seconds=61))
    now = timezone.now()
    assert desk_of(account=account, instrument=instrument, now=now).blocked == BLIND
    shut = standing_of(None, account, instrument, now)
    said = standing_context(account, instrument, seen="", places=[], now=now)
    assert said is not None and said["words"] == BLIND
    line.sync()
    assert told == [{"user_id": line.user.pk, "kind": "account", "thing_id": account.pk}]
    now = timezone.now()
    said = standing_context(account, instrument, seen=shut, places=[], now=now)
    assert said is not None and said["words"] == TAKEN


@pytest.mark.fault("F24")
def test_the_gate_closes_after_failures_and_one_probe_at_a_time_opens_it(line: Line, settings: Any):
    settings.GATE_FAILURES = 3
    line.vendor.faults.add("list", gateway(502, accept=False), times=50)
    line.vendor.faults.add("orders", gateway(502, accept=False), times=50)
    before = len(line.vendor.calls)
    for _ in range(8):
        line.sync()
    link = BrokerLink.objects.get()
    assert link.open_since is not None and link.last_error
    assert len(line.vendor.calls) - before <= 6, "a closed gate calls nobody"
    line.vendor.faults.clear()
    BrokerLink.objects.update(probe_at=timezone.now())
    line.sync()
    link.refresh_from_db()
    assert (link.failures, link.open_since) == (0, None)


def test_a_gap_of_the_stream_has_the_account_read_at_once(line: Line):
    assert accounts_due(now=timezone.now()) == []
    stream_gap(line.account.pk, timezone.now())
    assert accounts_due(now=timezone.now()) == [line.account.pk]


def test_a_disconnected_account_keeps_its_history_and_is_read_no_more(line: Line):
    account_disconnect(account=line.account, actor=line.user, now=timezone.now())
    BrokerLink.objects.update(attempted_at=None)
    assert accounts_due(now=timezone.now()) == []
    assert JournalEntry.objects.filter(brokerage_account=line.account).exists()
