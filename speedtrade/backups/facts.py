"""What a backup says of a database, so that a restore can be held against it."""

import hashlib
from dataclasses import dataclass
from typing import Any, LiteralString, cast

import psycopg
from psycopg import sql

#: The books, in columns that no later migration may change: what was moved, what it came to.
_BOOKS: tuple[LiteralString, ...] = (
    "SELECT id, brokerage_account_id, kind, reference, effective_at, amount, instrument_id,"
    " order_ref, side, qty, price, notional, fee FROM portfolio_journalentry ORDER BY id",
    "SELECT id, journal_id, source_id, target_id, asset, amount, source_balance, target_balance,"
    " source_version, target_version FROM portfolio_transfer ORDER BY id",
    "SELECT id, brokerage_account_id, kind, asset, balance, reserved, version"
    " FROM portfolio_ledgeraccount ORDER BY id",
    "SELECT id, order_id, trade_id, qty, price FROM trading_fill ORDER BY id",
)


@dataclass(frozen=True, slots=True)
class Facts:
    """`rows` per table, the hash of the books, and the last migration of each app."""

    rows: dict[str, int]
    ledger: str
    migrations: dict[str, str]


def facts_read(connection: "psycopg.Connection[Any]") -> Facts:
    """All of it, in the transaction that the caller has begun; memory does not grow with the books.

    Raises psycopg.Error, also where the tables are not those of SpeedTrade.
    """
    tables = connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
    ).fetchall()
    rows = {}
    for (table,) in tables:
        count = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("public", table))
        rows[table] = cast(tuple[int], connection.execute(count).fetchone())[0]
    applied = connection.execute(
        "SELECT app, max(name) FROM django_migrations GROUP BY app ORDER BY app"
    ).fetchall()
    return Facts(rows, ledger_hash(connection), dict(applied))


def ledger_hash(connection: "psycopg.Connection[Any]") -> str:
    """SHA-256 of the books as PostgreSQL writes them out, row by row in the order of their ids."""
    digest = hashlib.sha256()
    # Times and numbers are written alike whatever the server is set to.
    connection.execute("SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'")
    with connection.cursor() as cursor:
        for query in _BOOKS:
            with cursor.copy(sql.SQL("COPY ({}) TO STDOUT").format(sql.SQL(query))) as copied:
                for piece in copied:
                    digest.update(piece)
            digest.update(b"\0")
    return digest.hexdigest()
