"""What web, worker and venue do, each step in a process that is forked for it and may be killed.

A fork of a process that has read all code costs a hundredth of a start, so a thousand kills take
minutes. What dies is real: a process with its own connections, ended by SIGKILL.
"""

import multiprocessing
import os
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import django

PATIENCE = 60  # seconds for one step
KILLED = -9
AHEAD = timedelta(minutes=1)  # a sweep takes everything for overdue
_forks = multiprocessing.get_context("forkserver")


class Forks:
    """Runs steps by name in processes of the surroundings given; see `Fleet.environment`."""

    def __init__(self, surroundings: dict[str, str]) -> None:
        before = dict(os.environ)
        os.environ.update(surroundings)  # the server of forks keeps what it was started with
        try:
            _forks.set_forkserver_preload([__name__])
            assert self.run("nothing") == 0
        finally:
            os.environ.clear()
            os.environ.update(before)

    def run(self, step: str, *args: Any, crash: str = "", nth: int = 1) -> int:
        """The exit code of a step that dies when it passes this crash point the n-th time."""
        process = _forks.Process(target=_live, args=(step, args, crash, nth))
        process.start()
        process.join(PATIENCE)
        assert process.exitcode is not None, f"{step} {crash}"
        return process.exitcode


def _live(step: str, args: tuple[Any, ...], crash: str, nth: int) -> None:
    from speedtrade.lib import crash as points

    points._target, points._left = crash, nth
    STEPS[step](*args)
    os._exit(0)  # wake-ups in the background are nobody's here, and need no end in order


def nothing() -> None:
    """Only show that a fork works."""


def place(account_id: int, symbol: str, key: str) -> None:
    from tests.chaos.placing import place as placed

    placed(account_id, symbol, "buy", "1", key)


def work() -> None:
    """A worker: tell the broker what waits, and look for what has no answer."""
    from django.utils import timezone

    from trading.services.reconciliation import submissions_sweep
    from trading.services.submissions import submission_process

    def told(submission_id: int) -> None:
        submission_process(submission_id=submission_id, now=timezone.now())

    submissions_sweep(now=timezone.now() + AHEAD, wake=told)


def match() -> None:
    """A venue that starts, reads its book, and matches it once."""
    from django.utils import timezone

    from marketdata import quote_store
    from marketdata.hours import market_hours
    from trading.brokers.paper.venue import PaperVenue

    venue = PaperVenue(market_hours())
    _apply(venue.load(timezone.now()))
    symbols = list(venue.symbols())
    _apply(venue.tick(symbols, quote_store.quotes_get(symbols), timezone.now))


def poll() -> None:
    """A worker that asks the venue how our open orders are."""
    from django.utils import timezone

    from trading.services.reconciliation import orders_poll

    orders_poll(now=timezone.now() + AHEAD)


def _apply(reports: Iterable[Any]) -> None:
    from trading.management.commands.run_brokers import apply

    apply(reports)


STEPS = {step.__name__: step for step in (nothing, place, work, match, poll)}

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "speedtrade.settings")
django.setup()
