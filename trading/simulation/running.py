"""Run seeds, each in a transaction that is forgotten, and say how to see a failure again."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TextIO

from django.conf import settings
from django.db import connection, transaction

from accounts.models import BrokerKind, User
from accounts.selectors import account_for_user
from accounts.services.users import user_register
from speedtrade.lib.stage import staged
from trading.brokers.base import BrokerError
from trading.brokers.registry import adapter_replaced
from trading.simulation.dice import Dice
from trading.simulation.line import Line
from trading.simulation.market import instruments_ensure
from trading.simulation.people import Cast
from trading.simulation.trace import Trace, Violation
from trading.simulation.world import DAY, World

MEMBERS: Final = ("anna", "boris")
STAFF: Final = "carla"
PASSWORD: Final = "a simulated person's password"  # noqa: S105 - nobody can log in there
#: Ordinary weeks, and the days on which clocks and calendars do something.
STARTS: Final = [
    datetime(2026, 11, 16, 12, tzinfo=UTC),
    datetime(2026, 11, 18, 13, tzinfo=UTC),
    datetime(2026, 11, 20, 18, tzinfo=UTC),  # a Friday
    datetime(2026, 11, 25, 15, tzinfo=UTC),  # a holiday, then a half day
    datetime(2026, 10, 30, 12, tzinfo=UTC),  # New York's clocks go back
    datetime(2026, 3, 6, 12, tzinfo=UTC),  # and forward
    datetime(2026, 12, 23, 12, tzinfo=UTC),
    datetime(2026, 12, 30, 12, tzinfo=UTC),
]
#: Paper orders are numbered from here in each run: their fills sort by text where times are equal.
FIRST_PAPER: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a seed. `story` is its last lines.

    `converged`: seconds from the last fault to the venue's truth; `absent`: an order that was
    waited for then had never got there.
    """

    seed: int
    days: float
    steps: int
    identity: str
    converged: float
    absent: bool
    violation: Violation | None
    story: tuple[str, ...]

    @property
    def again(self) -> str:
        return f".venv/bin/python manage.py simulate --seed {self.seed} --days {self.days:g}"

    def told(self) -> str:
        """A failure in full."""
        head = f"seed {self.seed} broke a promise at step {self.steps + 1}: {self.violation}"
        return "\n".join([head, f"to see it again: {self.again}", *self.story])


@contextmanager
def forgotten() -> Iterator[None]:
    """A transaction of which nothing stays. Services that insist on the outermost may nest here."""
    around: Any = transaction.atomic()
    around._from_testcase = True
    with around:
        try:
            yield
        finally:
            transaction.set_rollback(True)


def cast_ensure() -> Cast:
    """The people and the symbols of the simulation, made where they are missing."""
    now = min(STARTS)
    people = {
        name: User.objects.filter(username=name).first()
        or user_register(username=name, email=f"{name}@simulation.test", password=PASSWORD, now=now)
        for name in (*MEMBERS, STAFF)
    }
    return Cast(
        members={
            name[0].upper(): (people[name], account_for_user(user=people[name])) for name in MEMBERS
        },
        staff=people[STAFF],
        instruments=instruments_ensure(),
    )


@contextmanager
def living(seed: int, *, days: float, cast: Cast, out: TextIO | None = None) -> Iterator[World]:
    """A house of this seed before its first step. Leaves no row, asks no clock and no Redis."""
    dice = Dice(seed)
    start = dice["start"].choice(STARTS)
    with forgotten(), _installed(settings_of(dice)), _alarmed():
        _number_papers()
        world = World(dice, cast, start, days, Trace(seed, start, out))
        with (
            staged(world),
            adapter_replaced(BrokerKind.PAPER, lambda account: Line(account.pk, world)),
            connection.execute_wrapper(world.checks.wrote),
        ):
            yield world


def run(seed: int, *, days: float, cast: Cast, out: TextIO | None = None) -> Run:
    """One life of the house, from its first step to its last check."""
    violation = None
    with living(seed, days=days, cast=cast, out=out) as world:
        try:
            world.run()
        except Violation as broken:
            violation = broken
        trace, took = world.trace, (round(world.converged, 1), world.absent)
    return Run(seed, days, trace.steps, trace.identity, *took, violation, tuple(trace.story))


def _number_papers() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('trading_paperorder', 'id'), %s, false)",
            [FIRST_PAPER],
        )


@contextmanager
def _installed(values: dict[str, Any]) -> Iterator[None]:
    """The settings of this seed, for as long as it runs."""
    before = {name: getattr(settings, name) for name in values}
    try:
        for name, value in values.items():
            setattr(settings, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(settings, name, value)


@contextmanager
def _alarmed() -> Iterator[None]:
    """What the house logs goes nowhere, but for errors, which end the run."""
    alarms = Alarms()
    loggers = [logging.getLogger(name) for name in ("trading", "portfolio", "marketdata")]
    for one in loggers:
        one.addHandler(alarms)
        one.propagate = False
    try:
        yield
    finally:
        for one in loggers:
            one.removeHandler(alarms)
            one.propagate = True


class Alarms(logging.Handler):
    """What the house calls an error is one, but for a line that is down: that is a die's."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, BrokerError):
            return
        why = f" ({error})" if error else ""
        raise Violation("no alarm is raised", f"{record.getMessage()}{why}".splitlines()[0][:300])


def settings_of(dice: Dice) -> dict[str, Any]:
    """The installation of a seed: its market hours, its fees, how long its orders live."""
    luck = dice["settings"]
    return {
        "SIMULATED_MARKET_HOURS": luck.choice(["nyse", "nyse", "always"]),
        "STOCK_FEE_RATE": luck.choice([settings.STOCK_FEE_RATE, settings.CRYPTO_FEE_RATE]),
        "GTC_LIFETIME": luck.choice([DAY * 90, DAY * 2, timedelta(hours=3)]),
        "RISK_MAX_OPEN_ORDERS": luck.choice([500, 5]),
    }
