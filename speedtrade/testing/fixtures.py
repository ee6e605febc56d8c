"""Fixtures of every app's tests; `conftest.py` at the root loads them as a plugin.

Django is imported inside the fixtures: this module is loaded before the settings exist.
"""

from collections.abc import Iterator
from typing import Any

import pytest

#: Rows that `migrate` made: the tests that follow need them, and no test changes them.
KEPT = ("django_migrations", "django_content_type", "auth_permission")


@pytest.fixture(scope="session", autouse=True)
def _empty_quickly() -> Iterator[None]:
    """Empty after a transactional test only the tables that it filled, past the triggers.

    Django truncates all of them and makes its permissions anew, which takes longer than most tests.
    A replica fires no ordinary triggers, neither those that keep a table append-only nor foreign
    keys; SET LOCAL lasts no longer than the emptying itself.
    """
    from django.db import connection, transaction
    from django.test import TransactionTestCase

    def empty(_: Any) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            tables = [
                connection.ops.quote_name(name)
                for name in connection.introspection.table_names(cursor)
                if name not in KEPT
            ]
            cursor.execute("SET LOCAL session_replication_role = 'replica'")
            cursor.execute(
                " UNION ALL ".join(
                    f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})"  # noqa: S608 - our tables
                    for name in tables
                )
            )
            for (name,) in cursor.fetchall():
                cursor.execute(f"DELETE FROM {name}")  # noqa: S608 - our tables

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", empty)
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
