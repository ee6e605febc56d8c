"""Whether the database has the tables that this code was written for."""

from functools import lru_cache

from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

_there = False  # once they were, they are: nothing is asked again


def schema_there() -> bool:
    """Whether every migration of this code is applied; never raises, and asks until it is so.

    Those that the database has beyond them are a later release's, which only adds: the code before
    it serves on while the next one is rolled out, and when it is taken back.
    """
    global _there
    _there = _there or _applied()
    return _there


def _applied() -> bool:
    try:
        return _wanted() <= MigrationRecorder(connection).applied_migrations().keys()
    except DatabaseError:
        return False


@lru_cache(maxsize=1)
def _wanted() -> frozenset[tuple[str, str]]:
    """(app, name) of each migration on this disk."""
    return frozenset(MigrationLoader(None).graph.nodes)
