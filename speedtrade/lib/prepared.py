"""A cursor for statements that run again and again: PostgreSQL reads and plans them once.

Django's cursor puts the values into the text, so each run is read and planned anew, which costs as
much again as running the small statements of an order. Here the values travel beside the text and a
connection keeps the plan after a few runs (PREPARE_AFTER). The server still chooses: where a plan
for any value would be worse, it goes on planning for each.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from psycopg import Cursor


@contextmanager
def prepared_cursor() -> Iterator[Any]:
    """As `connection.cursor()`, with one difference: each value needs a type that can be seen.

    That is so wherever it is compared with a column or written into one; elsewhere add a cast.
    """
    connection.ensure_connection()
    raw = Cursor(connection.connection)
    with connection._prepare_cursor(raw) as cursor:  # type: ignore[attr-defined] # logs and errors
        yield cursor
