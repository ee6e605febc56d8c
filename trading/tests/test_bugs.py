"""Each planted bug is caught: by which promise, at which seed and step, stands in the output."""

import pytest

from speedtrade.testing.bugs import BUGS
from trading.simulation.running import cast_ensure, run

SEEDS = 30  # a bug that survives so many lives is not caught
DAYS = 10
#: Planted in test_races, which shows that threads spend one dollar twice without it.
IN_RACES = {"the lock is missing": "test_a_hundred_dollars_are_granted_a_hundred_times"}


@pytest.mark.lives
@pytest.mark.django_db
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_breaks_a_promise(name: str):
    cast = cast_ensure()
    for seed in range(SEEDS):
        with BUGS[name]():
            made = run(seed, days=DAYS, cast=cast)
        if made.violation is not None:
            print(f"{name} | {made.violation} | seed {seed} | step {made.steps + 1}")
            return
    pytest.fail(f"{SEEDS} lives with this bug broke no promise: {name}")


def test_there_are_twenty_five_of_them_at_least():
    assert len(BUGS) >= 25
