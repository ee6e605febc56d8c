"""From before a restore writes until all is proved, no process of the house gets into its database.

A lock alone would stop nobody: they write rows without asking for one. So each new connection of
ours looks whether a restore holds its database or broke off there, and is closed where one did.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import OperationalError

from speedtrade.backups.programs import BackupError, connected
from speedtrade.lib.lease import HOLD, BeingRestored, lease_key, restore_refuse

OURS = "SPEEDTRADE_RESTORING"  # set for the commands by which a restore proves what it put back


@contextmanager
def held(where: Mapping[str, str]) -> Iterator["psycopg.Connection[Any]"]:
    """A connection that keeps the house out of this database until the end of the block.

    Who is inside already is not thrown out: look at that on this connection. Raises BackupError
    where another restore has it.
    """
    with connected(where) as connection:
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", [lease_key(HOLD)]).fetchone()
        connection.commit()  # the lock is the session's; a transaction would be open for hours
        if not (row and row[0]):
            raise BackupError("Another restore works on the target.")
        yield connection


def keep_out(*, connection: Any, **_: Any) -> None:
    """Close a new connection of Django and raise OperationalError where a restore is not done."""
    if os.environ.get(OURS):
        return
    try:
        with connection.connection.cursor() as cursor:
            restore_refuse(cursor)
    except BaseException as error:
        connection.close()  # one that could not look must not be used either
        if isinstance(error, BeingRestored):
            raise OperationalError(str(error)) from error
        raise
