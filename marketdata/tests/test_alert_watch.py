"""Alerts beside the feed: what is looked at, that each crossing is said once, and bad days."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.utils import timezone

from marketdata import quote_store
from marketdata.domain.alerts import Watch, shelf_of
from marketdata.models import Alert, AlertFiring
from marketdata.services import alert_watch
from marketdata.services.alert_firing import alert_fire
from marketdata.services.alert_watch import AlertWatch
from marketdata.services.alerts import alert_create, alert_delete, alert_switch_off
from marketdata.services.publishing import QuotePublisher
from marketdata.tests.factories import make_instrument, make_quote
from speedtrade.lib import live
from speedtrade.testing.cast import make_user
from speedtrade.testing.races import race
from speedtrade.testing.waiting import wait_until

D = Decimal
START = datetime(2026, 3, 2, 15, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def watch_made(number: int = 1, level: str = "100", way: str = "above", **more: Any) -> Watch:
    return Watch(number, "AAPL", way, D(level), more.pop("repeats", False), **more)


# ── the index ────────────────────────────────────────────────────────────────
def test_a_shelf_knows_the_nearest_level_on_each_side():
    shelf = shelf_of(
        [
            watch_made(1, "110"),
            watch_made(2, "105"),
            watch_made(3, "90", "below"),
            watch_made(4, "95", "below"),
            watch_made(5, "98", armed=False, repeats=True),  # has fired, waits for a fall
            watch_made(6, "103", "below", armed=False, repeats=True),  # and this for a rise
        ]
    )
    assert (shelf.low, shelf.high) == (98, 103)
    assert [shelf.concerns(D(price)) for price in ("98", "100", "103")] == [False] * 3
    assert shelf.concerns(D("97.99")) and shelf.concerns(D("103.01"))
    assert not shelf_of([]).concerns(D(1))


@pytest.mark.parametrize(
    ("way", "price", "fires", "ready"),
    [
        ("above", "100.01", True, False),
        ("above", "100", False, False),
        ("above", "99.99", False, True),
        ("below", "99.99", True, False),
        ("below", "100", False, False),
        ("below", "100.01", False, True),
    ],
)
def test_past_the_level_fires_and_only_the_other_side_is_back(way, price, fires, ready):
    waiting = watch_made(way=way, repeats=True)
    assert waiting.acts(D(price), START) == fires
    assert replace(waiting, armed=False).acts(D(price), START) == ready


def test_one_that_fires_every_time_is_quiet_for_a_while():
    quiet = watch_made(repeats=True, quiet_until=at(60))
    assert not quiet.acts(D(101), at(59)) and quiet.acts(D(101), at(60))


# ── the feed's side and the thread's side ────────────────────────────────────
@pytest.fixture
def setting(db: None) -> "Setting":
    return Setting()


class Setting:
    """One stock at 100, its owner, and a watch that a test turns by hand."""

    def __init__(self) -> None:
        self.user = make_user("alice")
        make_instrument("AAPL")
        quote_store.quotes_put([make_quote("AAPL", "100", at=START)])
        self.watch = AlertWatch()

    def put(self, way: str = "above", price: str = "105", repeat: str = "once") -> Alert:
        return alert_create(
            user=self.user, symbol="AAPL", direction=way, price=D(price), repeat=repeat, now=START
        )

    def see(self, last: str, seconds: float) -> None:
        """A price goes out, and the thread gets its turn."""
        self.watch.take([make_quote("AAPL", last, at=at(seconds))], at(seconds))
        assert self.watch.turn(at(seconds))

    def said(self) -> list[Decimal]:
        return list(AlertFiring.objects.order_by("id").values_list("price", flat=True))


def test_once_is_once(setting):
    setting.put()
    assert setting.watch.turn(START)
    for seconds, last in enumerate(["104", "105", "105.01", "104", "106", "107"], start=1):
        setting.see(last, seconds)
    assert setting.said() == [D("105.01")]
    assert Alert.objects.get().state == "fired"


def test_every_time_needs_the_way_back_and_a_pause(setting, settings):
    alert = setting.put(repeat="every")
    assert setting.watch.turn(START)
    setting.see("106", 1)
    setting.see("107", 2)  # still beyond
    setting.see("105", 3)  # at the level: neither
    assert Alert.objects.get().state == "fired"
    setting.see("104.99", 4)
    assert Alert.objects.get().state == "waiting"
    setting.see("108", 5)  # crossed again, but it has just spoken
    assert setting.said() == [106]
    later = settings.ALERT_QUIET.total_seconds() + 1
    setting.see("109", later)
    assert setting.said() == [106, 109]
    # A process that begins now knows the same.
    alert.refresh_from_db()
    fresh = AlertWatch()
    fresh.turn(at(later))
    fresh.take([make_quote("AAPL", "110", at=at(later + 1))], at(later + 1))
    assert fresh.turn(at(later + 1)) and setting.said() == [106, 109]


def test_a_repeated_quote_fires_nothing_again(setting):
    setting.put(repeat="every")
    setting.watch.turn(START)
    quote = make_quote("AAPL", "106", at=at(1))
    for _ in range(3):
        setting.watch.take([quote, quote], at(1))
        setting.watch.turn(at(1))
    assert setting.said() == [106]


def test_what_changed_is_known_at_the_next_turn_and_the_rest_after_some_seconds(setting, settings):
    setting.watch.turn(START)
    alert = setting.put()
    setting.see("106", 1)
    assert setting.said() == []  # in a test nothing is committed, so nobody said a word
    setting.see("106", settings.ALERTS_RELOAD.total_seconds())
    setting.see("106", settings.ALERTS_RELOAD.total_seconds() + 1)
    assert setting.said() == [106]
    alert_delete(user=setting.user, alert_id=alert.pk)


def test_a_signal_is_heard_at_once(setting, django_capture_on_commit_callbacks):
    setting.watch.turn(START)
    with django_capture_on_commit_callbacks(execute=True):
        setting.put()
    setting.watch.turn(at(1))
    setting.see("106", 2)
    assert setting.said() == [106]


def test_an_alert_that_its_owner_switched_off_meanwhile_stays_silent(setting):
    alert = setting.put()
    setting.watch.turn(START)
    alert_switch_off(user=setting.user, alert_id=alert.pk)
    setting.see("106", 1)
    assert setting.said() == [] and Alert.objects.get().state == "off"


def test_while_the_database_is_away_the_crossing_is_kept(setting, monkeypatch, caplog):
    setting.put()
    setting.watch.turn(START)

    def away(**_: Any) -> bool:
        raise OperationalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(alert_watch, "alert_fire", away)
        for seconds in (1, 2):
            setting.watch.take([make_quote("AAPL", "106", at=at(seconds))], at(seconds))
            assert not setting.watch.turn(at(seconds))
    setting.watch.take([make_quote("AAPL", "104", at=at(3))], at(3))
    assert setting.watch.turn(at(3))
    assert setting.said() == [106]  # the price that crossed, not the one of today
    assert caplog.text.count("alerts_without_database") == 1


def test_one_that_cannot_be_written_does_not_keep_the_others(setting, monkeypatch, caplog):
    bad, good = setting.put(), setting.put(price="104")
    setting.watch.turn(START)

    def picky(*, alert_id: int, **more: Any) -> bool:
        if alert_id == bad.pk:
            raise ValueError("broken")
        return alert_fire(alert_id=alert_id, **more)

    monkeypatch.setattr(alert_watch, "alert_fire", picky)
    setting.see("106", 1)
    assert [row.alert_number for row in AlertFiring.objects.all()] == [good.pk]
    assert "alert_not_written" in caplog.text


def test_quotes_go_out_while_the_thread_hangs():
    """The feed's side asks nobody, so a database that does not answer delays no quote."""
    hanging, entered = threading.Event(), threading.Event()

    def read() -> list[Watch]:
        if entered.is_set():
            hanging.wait(10)
            raise OperationalError("gone")
        entered.set()
        return [watch_made(level="105")]

    watch = AlertWatch(read)
    watch.turn(START)

    class Feed:
        name = "simulated"

        def poll(self, symbols: Any, now: datetime) -> list[Any]:
            return [make_quote(symbol, "106", at=now) for symbol in symbols]

    publisher = QuotePublisher([Feed()], watch=watch.take)  # type: ignore[list-item]
    publisher.follow([("AAPL", "simulated")])
    stuck = threading.Thread(target=watch.turn, args=(at(60),))
    stuck.start()
    began = time.monotonic()
    counts = [publisher.publish(window, at(window)) for window in range(0, 80, 8)]
    assert counts == [1] * 10 and time.monotonic() - began < 5
    hanging.set()
    stuck.join()


@pytest.mark.django_db(transaction=True)
def test_of_two_evaluators_one_fires():
    setting = Setting()
    alert = setting.put(repeat="every")
    quote = make_quote("AAPL", "106", at=at(1))
    done = race([lambda: alert_fire(alert_id=alert.pk, quote=quote, now=at(1))] * 4)
    assert sorted(done) == [False, False, False, True]
    assert setting.said() == [106]
    # And with quotes of their own, as two feeds would have them.
    Alert.objects.update(state="waiting")
    runners = [
        lambda n=n: alert_fire(
            alert_id=alert.pk, quote=make_quote("AAPL", "107", at=at(2 + n)), now=at(9)
        )
        for n in range(4)
    ]
    assert sorted(race(runners)) == [False, False, False, True]


@pytest.mark.django_db(transaction=True)
def test_the_feed_fires_an_alert_and_its_owner_is_told(monkeypatch):
    user = make_user("alice")
    make_instrument("BTC/USD", feed="simulated", price_tick=D("0.01"))
    now = timezone.now()
    quote_store.quotes_put([make_quote("BTC/USD", "1.00", at=now - timedelta(minutes=1))])
    alert = alert_create(user=user, symbol="BTC/USD", direction="above", price=D(2), now=now)
    told: list[tuple[Any, ...]] = []
    monkeypatch.setattr(live, "_send", lambda *event: told.append(event))
    stopper = threading.Thread(target=_stop_when, args=(AlertFiring.objects.exists,))
    stopper.start()
    with _signals_kept():
        call_command("run_feed")
    stopper.join()
    said = AlertFiring.objects.get()
    assert said.alert_number == alert.pk and said.price > 2
    assert told == [(live.user_group(user.pk), "alert", alert.pk, None)]


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _stop_when(done: Callable[[], bool]) -> None:
    try:
        wait_until(done, 30, "the alert fires")
    finally:
        connection.close()
        os.kill(os.getpid(), signal.SIGTERM)
