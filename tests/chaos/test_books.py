"""The ledger's check over a large book, and a backup of all of it that comes back."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from portfolio.models import Position, Transfer
from portfolio.services.rebuild import ledger_differences
from speedtrade.backups.making import backup_make
from speedtrade.backups.restoring import restore
from speedtrade.embedded import EmbeddedPostgres
from speedtrade.testing.lives import D
from tests.chaos.books import ORDERS, books_make

WITHIN = 60  # seconds for the check
BACK_WITHIN = timedelta(minutes=30)  # R14


@pytest.mark.django_db
def test_the_check_finds_nothing_in_a_large_book_in_a_minute_and_what_is_planted_there() -> None:
    books_make()
    began = time.monotonic()
    found = list(ledger_differences())
    took = time.monotonic() - began
    print(f"{ORDERS} orders, {Transfer.objects.count()} transfers: checked in {took:.1f} s")
    assert found == []
    assert took <= WITHIN
    last = Position.objects.latest("id")
    Position.objects.filter(pk=last.pk).update(cost_basis=last.cost_basis + D("0.01"))
    assert [one.where for one in ledger_differences()] == [f"position {last.pk} cost_basis"]


@pytest.fixture
def new_cluster(tmp_path: Path) -> Iterator[str]:
    """The address of a PostgreSQL that knows nothing, and keeps what it is given."""
    folder = tmp_path / "new"
    folder.mkdir()
    server = EmbeddedPostgres(folder)
    server.start()
    yield server.url()
    server.stop()


@pytest.mark.chaos
@pytest.mark.drill
@pytest.mark.fault("F32")
@pytest.mark.django_db(transaction=True)
def test_a_large_house_comes_back_with_all_proofs_in_half_an_hour(
    tmp_path: Path, new_cluster: str
) -> None:
    books_make()
    made = backup_make(folder=tmp_path / "kept", now=timezone.now())
    done = restore(file=made.path, into=new_cluster)
    rows = made.manifest["rows"]
    print(
        f"R14: {ORDERS} orders, {rows['trading_fill']} fills, {rows['portfolio_transfer']}"
        f" transfers, {done.rows} rows, {made.size / 1e6:.0f} MB: backed up in"
        f" {made.took.total_seconds():.1f} s, back with all proofs in"
        f" {done.took.total_seconds():.1f} s"
    )
    assert rows["trading_order"] == ORDERS
    assert done.ledger == made.manifest["ledger"]
    assert done.took <= BACK_WITHIN
