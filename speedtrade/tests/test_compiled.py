"""A queryset that was turned into SQL once says what the queryset says."""

import threading
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.models import BigIntegerField, CharField, Count, DateTimeField, Q, Sum
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from accounts.services.users import user_register
from portfolio.models import LedgerAccount
from speedtrade.lib.compiled import Compiled, Given

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
POCKETS = Compiled(
    lambda: LedgerAccount.objects.select_related("brokerage_account").filter(
        asset__in=[Given("asset", CharField())],
        brokerage_account__user=Given("user_id", BigIntegerField()),
    )
)


@pytest.fixture
def users(db: Any) -> list[User]:
    return [
        user_register(
            username=name, email=f"{name}@example.com", password="correct horse 7", now=NOW
        )
        for name in ("ada", "ben")
    ]


def test_rows_are_the_queryset_s_with_their_relations(users: list[User]) -> None:
    for user in users:
        rows = POCKETS.rows(asset="USD", user_id=user.pk)
        expected = LedgerAccount.objects.filter(asset="USD", brokerage_account__user=user)
        assert rows and {row.pk for row in rows} == {row.pk for row in expected}
        with CaptureQueriesContext(connection) as asked:
            assert {row.brokerage_account.user_id for row in rows} == {user.pk}
        assert not asked.captured_queries, "the account came along"
        for row in rows:
            twin = LedgerAccount.objects.get(pk=row.pk)
            for field in row._meta.concrete_fields:
                assert getattr(row, field.attname) == getattr(twin, field.attname), field
        row = rows[0]
        row.reserved = Decimal(0)
        row.save()  # it is a row that exists, not a new one


def test_it_is_written_once_and_values_are_never_part_of_the_text(users: list[User]) -> None:
    made = []

    def make() -> Any:
        made.append(1)
        return User.objects.filter(username=Given("name", CharField()))

    found = Compiled(make)
    hostile = "ada' OR '1'='1"
    assert found.first(name=hostile) is None
    assert found.first(name="%s") is None
    one = found.first(name="ada")
    assert one is not None and one.username == "ada"
    assert made == [1]


def test_annotations_sums_and_values_come_back_as_they_are(users: list[User]) -> None:
    since = Given("since", DateTimeField())
    counted = Compiled(
        lambda: (
            User.objects.annotate(accounts=Count("brokerage_accounts"))
            .filter(pk=Given("user_id", BigIntegerField()))
            .order_by("pk")
        )
    )
    found = counted.first(user_id=users[0].pk)
    assert found is not None and found.accounts == 1  # type: ignore[attr-defined]
    sums = Compiled(
        lambda: (
            LedgerAccount.objects.filter(kind="cash")
            .order_by()
            .values("kind")
            .annotate(total=Sum("balance", filter=Q(brokerage_account__created_at__gte=since)))
            .values_list("total", flat=False)
        )
    )
    (total,) = sums.tuples(since=NOW)[0]
    assert isinstance(total, Decimal) and total == sum(
        row.balance for row in LedgerAccount.objects.filter(kind="cash")
    )
    assert sums.tuples(since=datetime(2027, 1, 1, tzinfo=UTC)) == [(None,)]


@pytest.mark.django_db(transaction=True)
def test_each_thread_has_its_own() -> None:
    """A compiler belongs to a connection, and a connection to a thread. Fails with one for all."""
    by_name = Compiled(lambda: User.objects.filter(username=Given("name", CharField())))
    for name in ("ada", "ben"):
        user_register(
            username=name, email=f"{name}@example.com", password="correct horse 7", now=NOW
        )
    wrong: list[str] = []
    start = threading.Barrier(4)

    def read(name: str) -> None:
        try:
            start.wait()
            for _ in range(100):
                found = by_name.first(name=name)
                if found is None or found.username != name:
                    wrong.append(name)
            if by_name._written().compiler.connection is not connections[DEFAULT_DB_ALIAS]:
                wrong.append(f"{name} has the compiler of another connection")
        except Exception as error:
            wrong.append(repr(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=read, args=(name,)) for name in ("ada", "ben") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_rows_are_locked_inside_a_transaction_only_each_time(
    users: list[User], monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = Compiled(
        lambda: User.objects.select_for_update().filter(pk=Given("pk", BigIntegerField()))
    )
    assert locked.first(pk=users[0].pk) == users[0]
    with monkeypatch.context() as outside:
        outside.setattr(connections[DEFAULT_DB_ALIAS], "in_atomic_block", False)
        with pytest.raises(TransactionManagementError):
            locked.first(pk=users[0].pk)
