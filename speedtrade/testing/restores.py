"""For tests of restores: a target that is empty again, and how a process of the house sees it."""

import dj_database_url
import psycopg
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper

from speedtrade.lib.lease import ASIDE


def house_connection(address: str) -> DatabaseWrapper:
    """What a process of the house opens, to the database at this address."""
    chosen = {**connections["default"].settings_dict, **dj_database_url.parse(address)}
    chosen["OPTIONS"] = connections["default"].settings_dict["OPTIONS"]
    return DatabaseWrapper(chosen, alias="elsewhere")


def emptied(address: str) -> str:
    """The address of this database, which holds nothing any more."""
    with psycopg.connect(address) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {ASIDE} CASCADE")
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return address
