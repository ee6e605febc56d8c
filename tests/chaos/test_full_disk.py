"""A disk that is full, and logs that nobody takes: orders are refused or kept, never half made."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from speedtrade.datafolder import PROJECT
from speedtrade.testing.product import free_port
from speedtrade.testing.running import Running
from speedtrade.testing.waiting import wait_until
from tests.chaos.fleet import surroundings
from tests.chaos.test_outages import UNAVAILABLE, once_each, settled
from tests.chaos.traffic import HOUSE, Trader, Traffic

pytestmark = pytest.mark.chaos

DISK = 400  # MB: a fresh PostgreSQL and Valkey need about half of it
TAKEN_AGAIN = 90  # seconds after there is room again


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own, of DISK MB."""
    disk = tmp_path / "disk"
    disk.mkdir(mode=0o700)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}m,mode=700", "none", disk], check=True
    )
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount a disk")
@pytest.mark.drill
@pytest.mark.fault("F30")
def test_a_full_disk_refuses_orders_and_loses_none_that_was_answered(small_disk: Path) -> None:
    house = Running(small_disk, free_port(), **HOUSE)
    ballast = small_disk / "ballast"
    try:
        house.until(r"ready after|it serves, but")
        house.until_well()
        trader = Trader("trader-f30", house.port)
        with Traffic(trader, rate=10, hands=4) as traffic:
            traffic.more(20)
            fill(ballast)
            wait_until(
                lambda: any(answer.status != 201 for answer in traffic.answers[20:]),
                120,
                lambda: f"an order is refused: {traffic.counts()}",
            )
            traffic.more(10)
            ballast.unlink()
            took = traffic.until_taken(TAKEN_AGAIN)
            traffic.more(20)
        print(f"orders are taken {took:.1f} s after there is room; {dict(traffic.counts())}")
        assert set(traffic.counts()) <= {201} | UNAVAILABLE, traffic.counts()
        once_each(traffic)
        house.until_well()
        settled(house, trader)
    finally:
        ballast.unlink(missing_ok=True)
        house.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            house.process.wait(60)
        house.end()


def fill(ballast: Path) -> None:
    """Take what is left of the disk, to the last byte."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"\0" * 65536):
            pass


@pytest.fixture
def account_id(transactional_db: None) -> int:
    from django.utils import timezone

    from speedtrade.testing.cast import account_of, make_user
    from speedtrade.testing.lives import D, instrument_make

    now = timezone.now()
    instrument_make("AAPL", "Apple Inc.", D("184.32"), "0.01", as_of=now + timedelta(hours=1))
    return account_of(make_user("logged")).pk


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("log", ["full", "broken"])
@pytest.mark.fault("F30")
def test_a_log_that_cannot_be_written_costs_no_order(
    account_id: int, tmp_path: Path, log: str
) -> None:
    from trading.models import Order

    with log_of(log) as output:
        words = [str(account_id), "AAPL", "buy", "1", f"log-{log}"]
        placed = subprocess.run(
            [sys.executable, "-m", "tests.chaos.placing", *words],
            cwd=PROJECT,
            env={**os.environ, **surroundings(tmp_path), "LOG_LEVEL": "DEBUG"},
            stdout=output,
            stderr=output,
            timeout=60,
        )
    assert Order.objects.filter(intent_key=f"key:log-{log}").count() == 1
    assert placed.returncode in {0, 120}  # 120: what Python could not flush at its end


@contextlib.contextmanager
def log_of(kind: str) -> Iterator[int]:
    """Where nothing can be written: a disk that is full, or a pipe whose reader has gone."""
    if kind == "full":
        output = os.open("/dev/full", os.O_WRONLY)
    else:
        reading, output = os.pipe()
        os.close(reading)
    try:
        yield output
    finally:
        os.close(output)
