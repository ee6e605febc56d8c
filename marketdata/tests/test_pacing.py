"""A vendor's loop: it ends when it is told to, and begins anew whatever became of its last run."""

import threading

import pytest

from marketdata.feeds.pacing import Loop
from speedtrade.testing.waiting import wait_until

LIMIT = 10


class Steps:
    """The steps of a loop, which hang until they are let go."""

    def __init__(self):
        self.free = threading.Event()
        self.stops = []  # of each step, in the order they began

    def __call__(self, stop):
        self.stops.append(stop)
        self.free.wait(LIMIT)
        return 60.0

    def wait_for(self, count):
        wait_until(lambda: len(self.stops) >= count, LIMIT, lambda: f"{len(self.stops)} steps")


@pytest.fixture
def steps():
    made = Steps()
    yield made
    made.free.set()


def test_a_loop_begins_anew_while_its_last_run_is_still_ending(steps):
    loop = Loop("test", steps)
    loop.start()
    steps.wait_for(1)
    loop.stop(join=0)
    loop.start()
    steps.wait_for(2)
    assert [stop.is_set() for stop in steps.stops] == [True, False]
    steps.free.set()
    loop.stop()
    assert all(stop.is_set() for stop in steps.stops)


def test_to_begin_again_is_harmless_while_it_runs(steps):
    loop = Loop("test", steps)
    loop.start()
    steps.wait_for(1)
    loop.start()
    steps.free.set()
    loop.stop()
    assert len(steps.stops) == 1
