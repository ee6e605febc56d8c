"""A simulation's stage: what it replaces, and that nothing of it is left behind."""

from datetime import UTC, datetime
from typing import Any

import pytest

from speedtrade.lib import clock
from speedtrade.lib.crash import Killed, crash_point
from speedtrade.lib.later import later
from speedtrade.lib.redis import redis_client
from speedtrade.lib.stage import stage, staged


class Fake:
    """A stage that notes what is asked of it."""

    def __init__(self) -> None:
        self.redis: Any = object()
        self.now = datetime(2026, 1, 2, tzinfo=UTC)
        self.jobs: list[Any] = []

    def crash(self, name: str) -> None:
        raise Killed(name)

    def later(self, job: Any, args: Any) -> None:
        self.jobs.append((job, args))


def test_on_a_stage_clock_power_queue_and_redis_are_its_own():
    made = Fake()
    with staged(made):
        assert clock.now() == made.now
        assert redis_client() is made.redis
        later(print, "never")
        with pytest.raises(Killed, match="here"):
            crash_point("here")
    assert made.jobs == [(print, ("never",))]


def test_off_the_stage_all_four_are_real():
    with staged(Fake()):
        pass
    assert stage() is None
    assert abs((clock.now() - datetime.now(UTC)).total_seconds()) < 60
    assert redis_client().ping()
    crash_point("here")
    ran: list[int] = []
    later(ran.append, 1)
    assert ran == [1]
