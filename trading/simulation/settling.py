"""The end of a life: no fault strikes any more, and soon ours is the venue's truth (I9, I12).

How soon is measured (R4) from the last fault, act of a person, or halt that was still on, to the
moment from which each order is here what it is there. What a fault has still under way, as a report
that comes twice, arrives later and must change nothing.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from trading.simulation.trace import Violation

if TYPE_CHECKING:
    from trading.simulation.world import World

LAST: Final = timedelta(seconds=15)  # before the end there is a last visit
BEAT: Final = 5.0  # seconds: SWEEP_PERIOD and POLL_PERIOD
CONVERGED: Final = timedelta(seconds=60)  # after the last fault, at most
PATIENCE: Final = timedelta(seconds=120)  # nothing that was under way comes later
#: What goes on after the faults have ended; nobody comes and no price moves any more.
UNDER_WAY: Final = {"work", "look", "match", "report", "venue_starts"}


def settle(world: "World") -> None:
    """Everybody runs until all is quiet and true; raises Violation where it is not so in time."""
    world.faults.on = False
    quiet, trouble = world.now, last_trouble(world)
    world.switches.all_on()
    if world.venue is None:
        world.step("venue_starts")
    if world.checks.absent():  # of before: who is lost waits for a person, who comes now
        world.step("release")
    last = set(world.checks.waiting())
    world.keep(UNDER_WAY)
    world.beat_for(round(world.dice["settle"].uniform(0, BEAT), 3))  # faults wait for no beat
    while world.right is None or world.awaits(UNDER_WAY):
        last = set(world.checks.waiting()) or last
        if world.checks.absent():
            world.step("release")
        if (world.right or world.now) - trouble > CONVERGED:
            words = f"after {CONVERGED.seconds} s: {world.checks.unsettled()}"
            raise Violation("I9 liveness", words)
        if world.now - quiet > PATIENCE:
            raise Violation("I9 liveness", "something is under way for ever")
        world.beat_for(BEAT)
    world.converged = max((world.right - trouble).total_seconds(), 0.0)
    world.absent = any(world.checks.never_arrived(pk) for pk in last)
    world.checks.books.look_at_all()
    world.checks.truth()


def last_trouble(world: "World") -> datetime:
    """When something last happened that somebody has to come back from.

    At the earliest the last visit: since then the beat has been as quick as it is.
    """
    if world.switches.any_off:
        return world.now
    times = [world.faults.struck, world.disturbed, world.now - LAST]
    return max(time for time in times if time is not None)
