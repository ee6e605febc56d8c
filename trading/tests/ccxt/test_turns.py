"""One writer per key: over threads and processes, a key's nonces only ever grow."""

import contextlib
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import ccxt
import pytest
from django.db import connections

from speedtrade.testing.vendors.faults import drop_after, edited, hang_after, refuse
from speedtrade.testing.vendors.kraken import API_KEY, SECRET, KrakenVendor
from speedtrade.testing.waiting import wait_until
from trading.brokers.base import BrokerError, BrokerRequest, NotSent, OutcomeUnknown, RateLimited
from trading.brokers.ccxt import client, lease
from trading.brokers.ccxt.adapter import CcxtBroker
from trading.brokers.ccxt.lease import Turn, key_digest, key_turn
from trading.tests.ccxt.hand import Hand, order_ref, order_request

DIGEST = key_digest("kraken", API_KEY)


@pytest.fixture(autouse=True)
def rich(vendor: KrakenVendor) -> None:
    """Money for every order of a crowd."""
    vendor.deposit("USD", "100000000")


def _crowd(hand: Hand, threads: int = 6, each: int = 4) -> list[BrokerError]:
    """Everybody places orders with the one key at the same time."""
    failed: list[BrokerError] = []
    start = threading.Barrier(threads)

    def work() -> None:
        start.wait()
        for _ in range(each):
            try:
                hand.place()
            except BrokerError as error:
                failed.append(error)

    crowd = [threading.Thread(target=work) for _ in range(threads)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    return failed


def test_threads_that_share_a_key_take_turns(hand: Hand) -> None:
    assert _crowd(hand) == []
    key = hand.vendor.keys[API_KEY]
    assert key.refused == 0 and len(key.nonces) == 24
    assert len(hand.vendor.truth.accepted) == 24


def _unanswered(error: BrokerError) -> bool:
    """Whether no answer came in time; a nonce that the vendor refused is an answer."""
    refused = isinstance(error.__context__, ccxt.InvalidNonce)
    return isinstance(error, OutcomeUnknown) and not refused


def test_without_the_lease_the_vendor_refuses_their_nonces(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the lease is for: the same crowd without it is out of turn.

    On a busy machine some of the crowd get no answer in time; those are not what this is about.
    """

    @contextlib.contextmanager
    def free(digest: str) -> Iterator[Turn]:
        yield Turn()

    hand.place()
    monkeypatch.setattr(client, "key_turn", free)
    failed: list[BrokerError] = []
    for _ in range(20):
        crowd = _crowd(hand, threads=8, each=8)
        failed += [error for error in crowd if not _unanswered(error)]
        if failed:
            break
    assert failed and hand.vendor.keys[API_KEY].refused
    assert all(isinstance(error, NotSent) for error in failed)


def test_processes_that_share_a_key_take_turns(hand: Hand) -> None:
    script = textwrap.dedent(
        """
        import json, os, django
        django.setup()
        from django.conf import settings
        from django.db import connections
        settings.CCXT_URLS = json.loads(os.environ["VENDOR"])
        settings.CCXT_PACE = 10_000
        connections["default"].settings_dict["NAME"] = os.environ["DB"]
        from accounts.keys import BrokerKey
        from trading.brokers.ccxt.adapter import CcxtBroker
        from trading.tests.ccxt.hand import order_request
        for _ in range(10):
            key = BrokerKey(os.environ["KEY"], os.environ["SECRET"])
            CcxtBroker(1, key, "kraken", "paper").submit_order(order_request())
        """
    )
    surroundings = os.environ | {
        "VENDOR": json.dumps({"kraken": hand.vendor.urls}),
        "DB": str(connections["default"].settings_dict["NAME"]),
        "KEY": API_KEY,
        "SECRET": SECRET,
    }
    workers = [subprocess.Popen([sys.executable, "-c", script], env=surroundings) for _ in range(2)]
    for _ in range(10):
        hand.place()
    assert [worker.wait(60) for worker in workers] == [0, 0]
    key = hand.vendor.keys[API_KEY]
    assert key.refused == 0 and len(key.nonces) == 30


def test_a_clock_that_is_set_back_does_not_set_the_nonce_back(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand.place()
    before = hand.vendor.keys[API_KEY].nonce
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() - 3600 * 10**9)  # what ccxt reads
    hand.place()
    assert hand.vendor.keys[API_KEY].nonce > before
    assert hand.vendor.keys[API_KEY].refused == 0


def test_a_call_that_failed_has_used_its_nonce_up(hand: Hand) -> None:
    hand.vendor.faults.add("AddOrder", drop_after())
    with pytest.raises(OutcomeUnknown):
        hand.place()
    with key_turn(DIGEST) as turn:
        assert turn.nonce == hand.vendor.keys[API_KEY].nonce


def _submitting(broker: CcxtBroker, request: BrokerRequest) -> tuple[threading.Thread, list[Any]]:
    """A thread that places it, and what became of that: an order, or an error."""
    came: list[Any] = []

    def submit() -> None:
        try:
            came.append(broker.submit_order(request))
        except BrokerError as error:
            came.append(error)

    thread = threading.Thread(target=submit)
    thread.start()
    return thread, came


def test_an_order_under_way_keeps_its_own_words_while_another_thread_asks(hand: Hand) -> None:
    """Fails where threads that share an adapter share the last request: the record is another's."""
    broker, request, late = hand.broker, order_request(), threading.Event()

    def slowly(body: Any) -> Any:
        late.wait(20)
        return body

    broker.check()
    hand.vendor.faults.add("AddOrder", edited(slowly))
    thread, came = _submitting(broker, request)
    wait_until(lambda: hand.vendor.truth.accepted, 10, "the order to arrive")
    broker.client.public("fetch_status")
    assert broker.client.reply["result"]["status"] == "online"
    late.set()
    thread.join()
    assert came[0].sent["cl_ord_id"] == str(uuid.UUID(request.client_order_id))
    assert broker.client.reply["result"]["status"] == "online"  # this thread's, still


def test_an_order_without_an_answer_is_not_judged_by_the_answer_to_another_thread(
    hand: Hand, quick: Any
) -> None:
    """Fails where the reply is shared: refused for their number is not sent, and it goes again."""
    broker, request = hand.broker, order_request()
    broker.check()
    quick.BROKER_TIMEOUT = (5.0, 1.5)
    hand.vendor.faults.add("AddOrder", hang_after())
    hand.vendor.faults.add("SystemStatus", refuse("EAPI:Rate limit exceeded"))
    thread, came = _submitting(broker, request)
    wait_until(lambda: hand.vendor.truth.accepted, 10, "the order to arrive")
    with pytest.raises(RateLimited):
        broker.client.public("fetch_status")
    thread.join()
    assert [type(one) for one in came] == [OutcomeUnknown]


def test_one_who_waits_too_long_for_the_key_has_sent_nothing(hand: Hand, quick: Any) -> None:
    quick.CCXT_LEASE_WAIT = timedelta(milliseconds=50)
    hand.broker.check()
    request = order_request()
    with key_turn(DIGEST):
        with pytest.raises(NotSent, match="in use elsewhere"):
            hand.broker.submit_order(request)
        with pytest.raises(OutcomeUnknown, match="in use elsewhere"):
            hand.broker.find_order(order_ref(request))
    assert not hand.vendor.truth.accepted
    quick.CCXT_LEASE_WAIT = timedelta(seconds=10)
    hand.broker.submit_order(request)


def test_an_order_whose_turn_comes_too_late_stays_here(hand: Hand, quick: Any) -> None:
    hand.broker.check()
    quick.CCXT_LEASE_WAIT = timedelta(0)
    request = order_request()
    with pytest.raises(NotSent, match="too late"):
        hand.broker.submit_order(request)
    assert hand.broker.find_order(order_ref(request)) is None  # a look-up is never too late
    assert not hand.vendor.truth.accepted


def test_a_database_that_is_away_sends_nothing(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    hand.broker.check()
    monkeypatch.setitem(connections["default"].settings_dict, "NAME", "no_such_database")
    with pytest.raises(NotSent, match="database is away"):
        hand.place()


def test_reads_keep_to_the_pace_of_the_venue_and_orders_go_in_between(
    hand: Hand, quick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The venue's counter stands still: how long the calls take here is no part of it."""
    monkeypatch.setattr(lease, "time", SimpleNamespace(time=lambda: 1_800_000_000.0))
    quick.CCXT_PACE = 1
    quick.CCXT_LEASE_WAIT = timedelta(milliseconds=200)
    broker = hand.broker
    broker.holdings()
    assert broker.budget.remaining == 14 and broker.budget.resets_at is not None
    for _ in range(14):
        broker.holdings()
    with pytest.raises(RateLimited) as caught:
        broker.holdings()
    assert caught.value.retry_at is not None
    request, _ = hand.place()  # orders have a counter of their own
    with pytest.raises(RateLimited):
        hand.broker.find_order(order_ref(request))


def test_the_pace_is_remembered_without_a_word_of_the_key() -> None:
    assert API_KEY not in lease.key_digest("kraken", API_KEY)
    assert key_digest("kraken", API_KEY) != key_digest("binance", API_KEY)
