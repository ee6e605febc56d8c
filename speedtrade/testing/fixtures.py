"""Fixtures of every app's tests; `conftest.py` at the root loads them as a plugin.

Django is imported inside the fixtures: this module is loaded before the settings exist.
"""

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session", autouse=True)
def _flush_past_triggers() -> Iterator[None]:
    """Let the cleaning after a transactional test pass the append-only triggers.

    Such a test ends with a TRUNCATE of all tables, which the triggers refuse by design. A replica
    fires no ordinary triggers, and SET LOCAL lasts no longer than the cleaning itself.
    """
    from django.db.backends.postgresql.operations import DatabaseOperations

    flush = DatabaseOperations.execute_sql_flush

    def flush_as_replica(self: Any, sql_list: list[str]) -> None:
        flush(self, ["SET LOCAL session_replication_role = 'replica'", *sql_list])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "execute_sql_flush", flush_as_replica)
        yield


@pytest.fixture
def alice(db: None) -> Any:
    """She trades."""
    from speedtrade.testing.cast import make_user

    return make_user("alice")


@pytest.fixture
def bob(db: None) -> Any:
    """Support staff, without any permission of his own until a test gives him one."""
    from speedtrade.testing.cast import make_user

    return make_user("bob", staff=True)


@pytest.fixture
def charlie(db: None) -> Any:
    """A stranger, with an account of his own."""
    from speedtrade.testing.cast import make_user

    return make_user("charlie")
