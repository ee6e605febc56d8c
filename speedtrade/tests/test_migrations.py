"""Migrations that can be taken back, and that the code before them can live with."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import DataError, connection, migrations, models, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from accounts.models import BrokerageAccount
from portfolio.services.rebuild import ledger_differences
from speedtrade.testing import states

OURS = ("accounts", "marketdata", "portfolio", "trading")
#: The last migrations of the first release. What follows runs while the code before it runs.
RELEASED = {
    "accounts": "0007_broker_accounts",
    "marketdata": "0004_bars",
    "portfolio": "0005_brokers_keep_accounts",
    "trading": "0006_parked_tasks",
}
#: {(app, migration): why it may break a rule all the same}.
EXCUSED: dict[tuple[str, str], str] = {}

Node = tuple[str, str]


def nodes() -> list[Node]:
    """Our migrations in an order in which they can be applied."""
    loader = MigrationLoader(connection)
    plan: list[Node] = []
    for leaf in loader.graph.leaf_nodes():
        plan += [node for node in loader.graph.forwards_plan(leaf) if node not in plan]
    return [node for node in plan if node[0] in OURS]


def state_of(applied: list[Node]) -> list[tuple[str, str | None]]:
    """The targets that leave just these applied."""
    return [
        (app, max((name for owner, name in applied if owner == app), default=None)) for app in OURS
    ]


def migrate(applied: list[Node], told: Callable[..., None] | None = None) -> None:
    """One after the other until just these are applied; `told` hears of each as it is done."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # no table changes under a waiting trigger
    executor = MigrationExecutor(connection, told)
    executor.migrate(state_of(applied))
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def books() -> list[Any]:
    """What must survive: every balance, every transfer, every fill, and how many orders."""
    with connection.cursor() as cursor:
        found = []
        for sql in (
            "SELECT id, balance FROM portfolio_ledgeraccount ORDER BY id",
            "SELECT id, source_id, target_id, amount FROM portfolio_transfer ORDER BY id",
            "SELECT id, order_id, qty, price FROM trading_fill ORDER BY id",
            "SELECT count(*) FROM trading_order",
        ):
            cursor.execute(sql)
            found.append(cursor.fetchall())
    return found


@pytest.fixture
def seeded(db: None) -> None:
    """Orders in every state, money that moved, accounts at a broker."""
    now = timezone.now()
    states.books_make(now)
    # See `test_who_keeps_an_account_in_a_long_currency_goes_back_no_further_than_brokers`.
    BrokerageAccount.objects.filter(currency="USDT").update(currency="USD")
    assert all(books())


@pytest.mark.fault("F31")
def test_each_migration_can_be_taken_back_and_applied_again_with_rows_in_the_tables(
    seeded: None,
) -> None:
    """All in one transaction that is rolled back: a failure leaves the tables as they are."""
    before = books()

    def survived(progress: str, migration: Any = None, fake: bool = False) -> None:
        if progress in {"unapply_success", "apply_success"}:
            seen.append((migration.app_label, migration.name))
            assert books() == before, (progress, migration)

    seen: list[Node] = []
    applied = nodes()
    graph = MigrationLoader(connection).graph
    first = {
        one for node in applied if node[1].startswith("0001") for one in graph.forwards_plan(node)
    }
    later = [node for node in applied if node not in first]  # tables that there are in any case
    assert len(later) >= 14
    for target in ([node for node in applied if node in first], applied):
        migrate(target, survived)
        assert sorted(seen) == sorted(later)
        seen.clear()
    assert list(ledger_differences()) == []


def test_who_keeps_an_account_in_a_long_currency_goes_back_no_further_than_brokers(
    seeded: None,
) -> None:
    """Accounts are never deleted, and the code before brokers has no room for USDT.

    So the database refuses, whole: nothing is cut off. The way back is then a restored backup.
    """
    account = BrokerageAccount.objects.filter(broker="ccxt").get()
    BrokerageAccount.objects.filter(pk=account.pk).update(currency="USDT")
    before = books()
    older = nodes()
    older = older[: older.index(("accounts", "0007_broker_accounts"))]
    with pytest.raises(DataError), transaction.atomic():
        migrate(older)
    assert books() == before


# ── the code before must live with the tables after ──────────────────────────
GONE = (
    migrations.DeleteModel,
    migrations.RenameModel,
    migrations.AlterModelTable,
    migrations.RemoveField,
    migrations.RenameField,
)


def breaks(operation: Any) -> Iterator[str]:
    """Why the code before would fail after this operation, or nobody could go back."""
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        for one in operation.database_operations:
            yield from breaks(one)
    if isinstance(operation, GONE):
        yield "takes away what the code before reads; do it a release later"
    if isinstance(operation, migrations.AddField | migrations.AlterField):
        field = operation.field
        unset = not field.has_db_default() and not field.many_to_many
        if not field.null and unset and isinstance(operation, migrations.AddField):
            # Django's own default is gone once the column is there: the code before inserts none.
            yield "adds a column that the code before leaves empty; give it a db_default"
        if isinstance(operation, migrations.AlterField) and not field.null and unset:
            yield "may forbid what the code before writes; if not, say so in EXCUSED"
    if not operation.reversible:
        yield "cannot be taken back"


def test_no_migration_after_the_first_release_breaks_the_code_before_it() -> None:
    loader = MigrationLoader(None)
    told = {}
    for (app, name), migration in loader.disk_migrations.items():
        if app in OURS and name > RELEASED[app] and (app, name) not in EXCUSED:
            for operation in migration.operations:
                for why in breaks(operation):
                    told[app, name, operation.describe()] = why
    assert told == {}


@pytest.mark.parametrize(
    "operation, right",
    [
        (migrations.AddField("order", "x", models.IntegerField()), False),
        (migrations.AddField("order", "x", models.IntegerField(default=0)), False),
        (migrations.AddField("order", "x", models.IntegerField(db_default=0)), True),
        (migrations.AddField("order", "x", models.IntegerField(null=True)), True),
        (migrations.AlterField("order", "x", models.IntegerField()), False),
        (migrations.AlterField("order", "x", models.IntegerField(null=True)), True),
        (migrations.RemoveField("order", "x"), False),
        (migrations.RenameField("order", "x", "y"), False),
        (migrations.DeleteModel("order"), False),
        (migrations.RunSQL("SELECT 1"), False),
        (migrations.RunSQL("SELECT 1", migrations.RunSQL.noop), True),
        (migrations.RunPython(lambda apps, editor: None), False),
        (migrations.CreateModel("thing", []), True),
        (
            migrations.SeparateDatabaseAndState([migrations.RemoveField("order", "x")], []),
            False,
        ),
    ],
)
def test_the_rules_of_migrations_tell_right_from_wrong(operation: Any, right: bool) -> None:
    assert (list(breaks(operation)) == []) == right


def test_a_migration_waits_no_longer_for_a_table_than_a_request_does(db: None) -> None:
    """What it cannot lock soon it leaves alone: behind a waiting ALTER TABLE all wait."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT setting::int FROM pg_settings WHERE name = 'lock_timeout'")
        assert 0 < cursor.fetchone()[0] <= 3000
