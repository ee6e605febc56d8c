"""One holder at a time, nobody waits for one who has let go, and none beside a restore."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection

from speedtrade.backups.holding import held
from speedtrade.backups.programs import where_of
from speedtrade.lib.lease import ASIDE, BeingRestored, Lease, leases_held
from trading.management.commands import run_brokers

pytestmark = pytest.mark.django_db


@contextmanager
def restore_works() -> Iterator[None]:
    with held(where_of(connection.get_connection_params())):
        yield


@contextmanager
def restore_broken_off() -> Iterator[None]:
    where = where_of(connection.get_connection_params())
    with psycopg.connect(**where, autocommit=True) as other:  # type: ignore[arg-type]
        other.execute(f"CREATE SCHEMA {ASIDE}")
        try:
            yield
        finally:
            other.execute(f"DROP SCHEMA {ASIDE}")


RESTORES = [(restore_works, "A restore works on"), (restore_broken_off, "was broken off")]


def test_one_holds_it_at_a_time() -> None:
    with Lease("venue") as one, Lease("venue") as other, Lease("feed") as feed:
        assert one.take() and feed.take()
        assert not other.take()
        one.release()
        assert other.take() and other.held() and not one.held()


def test_what_was_let_go_is_free_at_once() -> None:
    """Fails where the session is only closed: the server frees what it held a moment later."""
    for turn in range(200):
        with Lease("sync:7") as lease, Lease("sync:7") as waiting:
            assert lease.take()
            assert not waiting.take()
            lease.release()
            assert waiting.take(), turn


@pytest.mark.parametrize(("restore", "words"), RESTORES)
def test_nobody_takes_a_lease_until_a_restore_is_done(restore, words) -> None:
    """Fails where take() asks for its own lock alone: a venue would start on unproved books."""
    with Lease("venue") as lease:
        with restore(), pytest.raises(BeingRestored, match=words):
            lease.take()
        with connection.cursor() as cursor:
            assert leases_held(["venue"], cursor) == []
        assert not lease.held()
        assert lease.take()


@pytest.mark.parametrize(("restore", "words"), RESTORES)
def test_a_venue_says_why_it_waits_for_a_restore(
    restore, words, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    rests: list[float] = []

    def rest(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) == 2:  # it tried again
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(run_brokers.time, "sleep", rest)
    try:
        with restore():
            call_command("run_brokers")
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    told = [record.error for record in caplog.records if record.msg == "venue_interrupted"]  # type: ignore[attr-defined]
    assert len(told) == 2 and all(words in error for error in told)
