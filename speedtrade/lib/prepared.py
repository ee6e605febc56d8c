"""A cursor for statements that run again and again: PostgreSQL reads and plans them once.

Django's cursor puts the values into the text, so each run is read and planned anew, which costs as
much again as running the small statements of an order. Here the values travel beside the text and a
connection keeps the plan after a few runs (PREPARE_AFTER). The server still chooses: where a plan
for any value would be worse, it goes on planning for each.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from psycopg import Cursor


@contextmanager
def prepared_cursor() -> Iterator[Any]:
    """As `connection.cursor()`, with one difference: each value needs a type that can be seen.

    That is so wherever it is compared with a column or written into one; elsewhere add a cast.
    """
    here = connection_here()
    here.ensure_connection()
    with here._prepare_cursor(Cursor(here.connection)) as cursor:  # it logs, and says errors
        yield cursor


def connection_here() -> Any:
    """This thread's connection itself: `django.db.connection` looks for it at each attribute."""
    return connections[DEFAULT_DB_ALIAS]
