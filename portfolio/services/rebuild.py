"""Prove the books: rebuild every projection from the ledger and compare to the last digit."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction

from portfolio.domain.lots import SoldTooMuch, replay
from portfolio.models import EntryKind, JournalEntry, LedgerCheck, Lot, Position
from portfolio.services.books import account_lock
from portfolio.services.fills import fill_facts, position_rebuild
from speedtrade.lib.money import plain

DETAILS_LIMIT = 100  # differences kept on a LedgerCheck row


@dataclass(frozen=True, slots=True)
class Difference:
    """One promise that does not hold: which invariant, where, and the two figures."""

    invariant: str
    where: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.where}: {self.found}, expected {self.expected}"


#: (invariant, query of (where, found, expected) rows that break it).
_QUERIES: list[tuple[str, str]] = [
    (
        "I1 sums to zero",
        """SELECT asset, sum(balance)::text, '0' FROM portfolio_ledgeraccount
           GROUP BY asset HAVING sum(balance) <> 0""",
    ),
    (
        "I2 balance is history",
        """SELECT 'pocket ' || a.id, a.balance::text, coalesce(t.total, 0)::text
           FROM portfolio_ledgeraccount a LEFT JOIN (
             SELECT pocket, sum(amount) AS total, count(*) AS moves FROM (
               SELECT target_id AS pocket, amount FROM portfolio_transfer
               UNION ALL SELECT source_id, -amount FROM portfolio_transfer) m
             GROUP BY pocket) t ON t.pocket = a.id
           WHERE a.balance <> coalesce(t.total, 0) OR a.version <> coalesce(t.moves, 0)""",
    ),
    (
        "I2 no gap in the entries",
        """SELECT 'pocket ' || pocket || ' version ' || version, balance::text,
                  (before + change)::text
           FROM (
             SELECT pocket, version, balance, change,
                    lag(balance, 1, 0) OVER w AS before,
                    lag(version, 1, 0::bigint) OVER w AS previous
             FROM (SELECT target_id AS pocket, target_version AS version, target_balance AS balance,
                          amount AS change FROM portfolio_transfer
                   UNION ALL SELECT source_id, source_version, source_balance, -amount
                   FROM portfolio_transfer) e
             WINDOW w AS (PARTITION BY pocket ORDER BY version)) s
           WHERE balance <> before + change OR version <> previous + 1""",
    ),
    (
        "I3 reserved is what orders hold",
        """SELECT 'pocket ' || a.id, a.reserved::text, coalesce(h.total, 0)::text
           FROM portfolio_ledgeraccount a LEFT JOIN (
             SELECT ledger_account_id, sum(amount) AS total FROM portfolio_hold GROUP BY 1) h
             ON h.ledger_account_id = a.id
           WHERE a.reserved <> coalesce(h.total, 0)""",
    ),
    (
        "I7 position is the pocket",
        """SELECT 'position ' || p.id, p.qty::text, coalesce(a.balance, 0)::text
           FROM portfolio_position p JOIN marketdata_instrument i ON i.id = p.instrument_id
           LEFT JOIN portfolio_ledgeraccount a ON a.brokerage_account_id = p.brokerage_account_id
             AND a.kind = 'position' AND a.asset = i.symbol
           WHERE p.qty <> coalesce(a.balance, 0)""",
    ),
    (
        "I7 shares have a position",
        """SELECT 'pocket ' || a.id, '0', a.balance::text
           FROM portfolio_ledgeraccount a
           LEFT JOIN marketdata_instrument i ON i.symbol = a.asset
           LEFT JOIN portfolio_position p
             ON p.instrument_id = i.id AND p.brokerage_account_id = a.brokerage_account_id
           WHERE a.kind = 'position' AND a.balance <> 0 AND p.id IS NULL""",
    ),
    (
        "journal cash is the transfers",
        """SELECT 'journal ' || j.id, j.amount::text, coalesce(t.total, 0)::text
           FROM portfolio_journalentry j LEFT JOIN (
             SELECT t.journal_id,
                    sum(CASE WHEN target.kind = 'cash' THEN t.amount ELSE -t.amount END) AS total
             FROM portfolio_transfer t
             JOIN portfolio_ledgeraccount target ON target.id = t.target_id
             JOIN portfolio_ledgeraccount source ON source.id = t.source_id
             WHERE target.kind = 'cash' OR source.kind = 'cash' GROUP BY 1) t ON t.journal_id = j.id
           WHERE j.amount <> coalesce(t.total, 0)""",
    ),
    (
        "journal shares are the transfers",
        """SELECT 'journal ' || j.id, j.qty::text, coalesce(t.total, 0)::text
           FROM portfolio_journalentry j LEFT JOIN (
             SELECT t.journal_id, sum(t.amount) AS total FROM portfolio_transfer t
             JOIN portfolio_ledgeraccount target ON target.id = t.target_id
             JOIN portfolio_ledgeraccount source ON source.id = t.source_id
             WHERE target.kind = 'position' OR source.kind = 'position' GROUP BY 1) t
             ON t.journal_id = j.id
           WHERE j.kind = 'fill' AND j.qty <> coalesce(t.total, 0)""",
    ),
]


def ledger_differences(patience: timedelta | None = None) -> Iterator[Difference]:
    """Every broken promise of the ledger, in one consistent view of the database.

    A statement may take the `patience` of who does not wait for it, 0 for any; else as any other.
    """
    nested = connection.in_atomic_block  # a transaction that has begun cannot change its isolation
    with transaction.atomic(), connection.cursor() as cursor:
        if not nested:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        if patience is not None:
            limit = patience // timedelta(milliseconds=1)
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(limit)])
        for invariant, query in _QUERIES:
            cursor.execute(query)
            for where, found, expected in cursor.fetchall():
                yield Difference(invariant, where, found, expected)
        yield from _projection_differences()


def _projection_differences() -> Iterator[Difference]:
    """Positions and lots against a replay of the journal (I7, I8)."""
    for position in Position.objects.order_by("id").iterator(chunk_size=500):
        yield from _position_differences(position)


def _position_differences(position: Position) -> Iterator[Difference]:
    where = f"position {position.pk}"
    try:
        holding = replay(fill_facts(position))
    except SoldTooMuch as error:
        yield Difference("I11 nothing is short", where, str(error), "nothing sold that is not held")
        return
    for name, invariant in (
        ("qty", "I7 position is its fills"),
        ("cost_basis", "I8 cost is its lots"),
        ("realized_pl", "I8 realised P&L"),
        ("fees", "I8 fees"),
    ):
        found, expected = getattr(position, name), getattr(holding, name)
        if found != expected:
            yield Difference(invariant, f"{where} {name}", plain(found), plain(expected))
    if position.opened_at != holding.opened_at:
        yield Difference(
            "I7 position is its fills",
            f"{where} opened_at",
            str(position.opened_at),
            str(holding.opened_at),
        )
    stored = {
        row.reference: (row.qty, row.price, row.remaining, row.cost)
        for row in Lot.objects.filter(position=position, remaining__gt=0)
    }
    wanted = {lot.reference: (lot.qty, lot.price, lot.remaining, lot.cost) for lot in holding.lots}
    if stored != wanted:
        yield Difference("I7 lots are its fills", where, str(stored), str(wanted))


def ledger_check(*, now: datetime, patience: timedelta | None = None) -> LedgerCheck:
    """Run the whole check and keep its result; /health and the admin show the last one."""
    found = list(ledger_differences(patience))
    return LedgerCheck.objects.create(
        ran_at=now, differences=len(found), details=[str(item) for item in found[:DETAILS_LIMIT]]
    )


def positions_rebuild(*, now: datetime) -> int:
    """Write lots and positions anew from the journal, lost ones too; how many there are."""
    filled = JournalEntry.objects.filter(kind=EntryKind.FILL)
    pairs = filled.values_list("brokerage_account_id", "instrument_id").union(
        Position.objects.values_list("brokerage_account_id", "instrument_id")
    )
    count = 0
    for account_id, instrument_id in list(pairs):
        with transaction.atomic():
            account_lock(account_id)
            position, _ = Position.objects.get_or_create(
                brokerage_account_id=account_id,
                instrument_id=instrument_id,
                defaults={"updated_at": now},
            )
            position_rebuild(position=position, now=now)
        count += 1
    return count
