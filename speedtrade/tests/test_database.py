"""A connection that is kept between requests is found out when it died, and not asked each time."""

import os
import select
import socket
import time
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.postgresql import base

pytestmark = pytest.mark.django_db


@pytest.fixture
def kept() -> Iterator[BaseDatabaseWrapper]:
    """A connection that has served a request."""
    made = connection.copy()
    made.ensure_connection()
    yield made
    made.close()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What Django's own check found, each time that it ran."""
    found: list[bool] = []
    check = base.DatabaseWrapper.is_usable

    def counted(self: base.DatabaseWrapper) -> bool:
        found.append(check(self))
        return found[-1]

    monkeypatch.setattr(base.DatabaseWrapper, "is_usable", counted)
    return found


def test_one_that_was_in_use_is_not_asked(kept: BaseDatabaseWrapper, asked: list[bool]) -> None:
    assert _request(kept) == _request(kept)
    assert asked == []


def test_one_that_the_server_ended_is_made_anew(
    kept: BaseDatabaseWrapper, asked: list[bool]
) -> None:
    before = _request(kept)
    _end(before)
    assert _request(kept) != before
    assert asked == [False]


def test_one_that_rested_is_asked(
    kept: BaseDatabaseWrapper, asked: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _request(kept)
    later = time.monotonic() + settings.DATABASE_TRUSTED.total_seconds()
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert _request(kept) == before
    assert asked == [True]


def test_one_that_met_an_error_is_asked(kept: BaseDatabaseWrapper, asked: list[bool]) -> None:
    before = _request(kept)
    with pytest.raises(OperationalError), kept.cursor() as cursor:
        cursor.execute("SET statement_timeout = 1; SELECT pg_sleep(10)")
    assert _request(kept) == before
    assert asked == [True]


def test_one_whose_line_was_cut_is_made_anew(kept: BaseDatabaseWrapper, asked: list[bool]) -> None:
    before = _request(kept)
    line = socket.socket(fileno=os.dup(kept.connection.fileno()))
    line.shutdown(socket.SHUT_RDWR)
    line.close()
    assert _request(kept) != before
    assert asked == [False]


def test_one_that_is_closed_already_is_made_anew(
    kept: BaseDatabaseWrapper, asked: list[bool]
) -> None:
    before = _request(kept)
    kept.connection.close()
    assert _request(kept) != before
    assert asked == [False]


def test_one_with_words_that_nobody_read_is_asked(
    kept: BaseDatabaseWrapper, asked: list[bool]
) -> None:
    with kept.cursor() as cursor:
        cursor.execute("LISTEN of_test")
    before = _request(kept)
    with connection.copy().cursor() as other:  # in no transaction: it is told at once
        other.execute("NOTIFY of_test")
        other.db.close()
    told, _, _ = select.select([kept.connection.fileno()], [], [], 10)
    assert told
    assert _request(kept) == before
    assert asked == [True]


def test_one_that_dies_in_a_transaction_is_not_made_anew_within_it(
    kept: BaseDatabaseWrapper, asked: list[bool]
) -> None:
    """Fails where the second half of a transaction runs by itself on another connection."""
    kept.set_autocommit(False)
    before = _session(kept)
    _end(before)
    for _ in range(2):
        with pytest.raises(OperationalError):
            _session(kept)
    assert asked == []
    assert _request(kept) != before


def _request(kept: BaseDatabaseWrapper) -> int:
    """What Django does about a request that asks the database once; the session that answered."""
    kept.close_if_unusable_or_obsolete()
    return _session(kept)


def _session(kept: BaseDatabaseWrapper) -> int:
    with kept.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def _end(session: int) -> None:
    """From outside, and only back when it has ended."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [session])
        assert cursor.fetchone() == (True,)
