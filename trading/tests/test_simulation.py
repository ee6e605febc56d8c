"""The house by seed: no seed breaks a promise, and a seed is the same life in every process.

A seed that fails prints the command that shows it again.
"""

import os
import subprocess
import sys
from contextlib import ExitStack
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from accounts.models import BrokerageAccount
from marketdata import quote_store
from speedtrade.datafolder import PROJECT
from speedtrade.testing.bugs import BUGS
from trading.management.commands.simulate import span
from trading.models import Order
from trading.simulation.dice import RATES
from trading.simulation.figures import convergence_told, percentile
from trading.simulation.market import LISTINGS
from trading.simulation.people import ACTS, ACTS_RARE
from trading.simulation.running import MEMBERS, cast_ensure, living, run
from trading.simulation.world import World

RUNS = int(os.environ.get("SIM_RUNS", "500"))
PARTS = min(10, RUNS)  # tests that the runs are cut into, for several workers
DAYS = 1
TWINS = 100 if RUNS >= 10_000 else 10
EXAMPLES, STEPS = 40, 25
SOON = 30  # seconds from the last fault to the venue's truth, in 99 of 100 lives
LIVED: list[tuple[float, bool]] = []  # (converged, absent) of the lives in this process

_HASHES = """
import django
django.setup()
from trading.simulation.running import cast_ensure, forgotten, run
with forgotten():
    cast = cast_ensure()
    for seed in range({seeds}):
        print(seed, run(seed, days={days}, cast=cast).identity)
"""


@pytest.mark.lives
@pytest.mark.django_db
@pytest.mark.parametrize("part", range(PARTS))
def test_no_seed_breaks_a_promise(part: int):
    cast, failed = cast_ensure(), []
    for seed in range(RUNS)[part::PARTS]:
        made = run(seed, days=DAYS, cast=cast)
        LIVED.append((made.converged, made.absent))
        if made.violation is not None:
            failed.append(made.told())
    print(f"{len(LIVED)} lives in this process. {convergence_told(LIVED)}")
    assert not failed, f"{len(failed)} seeds failed; the first:\n{failed[0]}"
    assert percentile([took for took, absent in LIVED if not absent], 99) <= SOON


@pytest.mark.lives
def test_a_seed_is_the_same_life_in_every_process(django_db_setup: None):
    """Two processes that hash text differently, one after the other on one database."""
    first, second = (_hashes(hash_seed) for hash_seed in ("1", "2"))
    assert len(first) == TWINS
    assert first == second
    assert len({line.split()[1] for line in first}) == TWINS, "each seed is a life of its own"


def _hashes(hash_seed: str) -> list[str]:
    name = connection.settings_dict["NAME"]
    url = os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{name}"
    answer = subprocess.run(
        [sys.executable, "-c", _HASHES.format(seeds=TWINS, days=DAYS)],
        env=os.environ | {"PYTHONHASHSEED": hash_seed, "DATABASE_URL": url},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.splitlines()


# ── any sequence at all, which shrinks ───────────────────────────────────────
class House(RuleBasedStateMachine):
    """The same world, but Hypothesis chooses who does what, when, and which fault is on."""

    cast: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.open = ExitStack()

    @initialize(seed=st.integers(0, 99))
    def begin(self, seed: int) -> None:
        self.world = self.open.enter_context(living(seed, days=1, cast=self.cast))
        self.world.faults.rates = dict.fromkeys(RATES, 0.0)

    @rule(name=st.sampled_from([*ACTS, *ACTS_RARE]), who=st.sampled_from(MEMBERS))
    def act(self, name: str, who: str) -> None:
        self.world.step("person_as", name, who[0].upper())

    @rule(one=st.sampled_from(LISTINGS))
    def price(self, one: Any) -> None:
        self.world.step("price", one)

    @rule(count=st.integers(1, 6))
    def go_on(self, count: int) -> None:
        self.world.go_on(count)

    @rule(seconds=st.sampled_from([0.3, 6, 40, 3600, 86_400]))
    def wait(self, seconds: float) -> None:
        """Nobody does anything for so long."""
        self.world.pass_time(seconds)
        self.world.disturbed = self.world.now

    @rule(name=st.sampled_from(list(RATES)), rate=st.sampled_from([0.0, 0.3, 1.0]))
    def fault(self, name: str, rate: float) -> None:
        self.world.faults.rates[name] = rate

    def teardown(self) -> None:
        with self.open:
            if hasattr(self, "world"):
                self.world.settle()


@pytest.mark.lives
@pytest.mark.django_db
def test_whatever_happens_the_promises_hold():
    House.cast = cast_ensure()
    run_state_machine_as_test(
        House,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


# ── how soon ours is the venue's truth ───────────────────────────────────────
def life_with(fault: str, *, proof: bool) -> World:
    """A life that ends soon after this fault has struck an order, and before anybody could look."""
    with living(1, days=1, cast=cast_ensure()) as world:
        world.faults.rates = dict.fromkeys(RATES, 0.0) | {fault: 1.0}
        world.proof = proof
        while not world.checks.waiting():
            world.step("person_as", "place", "A")
        while world.faults.struck is None:
            world.next()
        world.beat_for(4.9)
        world.settle()
    return world


@pytest.mark.django_db
@pytest.mark.parametrize(
    "fault, proof, least, most, absent",
    [
        ("lost_before", False, 30, 35, True),  # called lost by the first sweep after half a minute
        ("lost_before", True, 5, 10, False),  # looked up by the first sweep after five seconds
        ("lost_after", False, 5, 10, False),
        ("report_lost", True, 5, 10, False),  # by the first poll
        ("report_twice", True, 0, 1, False),  # what comes again later is no delay
    ],
)
def test_the_time_until_the_truth_begins_with_the_last_fault(
    fault: str, proof: bool, least: int, most: int, absent: bool
):
    """Fails where it begins with the quiet, or ends when all has been heard twice."""
    world = life_with(fault, proof=proof)
    assert least <= world.converged < most + 0.1
    assert world.absent == absent


def test_the_figures_of_many_lives_say_how_many_waited_for_what_never_arrived():
    lives = [(0.0, False)] * 50 + [(7.5, False)] * 48 + [(20.0, False), (34.0, True)]
    assert convergence_told(lives) == (
        "From the last fault to the venue's truth: half within 0 s, 99 of 100 within 20 s, "
        "all within 34 s. 1 of 100 lives waited for an order that never arrived; in the others "
        "half within 0 s, 99 of 100 within 20 s, all within 20 s."
    )
    assert percentile([], 99) == 0
    assert percentile([3.0, 1.0, 2.0], 50) == 2


# ── what a run leaves ────────────────────────────────────────────────────────
@pytest.mark.django_db
def test_a_run_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch):
    cast = cast_ensure()
    before = list(BrokerageAccount.objects.order_by("id").values())
    first = run(0, days=DAYS, cast=cast)
    assert first.steps > 10
    assert not Order.objects.exists()
    assert list(BrokerageAccount.objects.order_by("id").values()) == before
    assert quote_store.quotes_all() == {}, "no quote of it is in Redis"
    assert run(0, days=DAYS, cast=cast) == first, "the second time it is the same life"


@pytest.mark.django_db
def test_a_failure_says_how_to_see_it_again_and_its_trace_is_written():
    out = StringIO()
    with BUGS["a hold outlives its order"]():
        made = next(
            found
            for seed in range(20)
            if (found := run(seed, days=2, cast=cast_ensure(), out=out)).violation
        )
    assert f"manage.py simulate --seed {made.seed} --days 2" in made.told()
    assert made.violation is not None and made.violation.invariant.startswith("I12")
    assert f'{{"seed":{made.seed},' in out.getvalue()


def test_seeds_are_a_span():
    assert span({"seed": 7, "seeds": None}) == range(7, 8)
    assert span({"seed": None, "seeds": "3..5"}) == range(3, 6)
    for wrong in ("", "5..3", "a..b"):
        with pytest.raises(CommandError):
            span({"seed": None, "seeds": wrong})


@pytest.mark.django_db
def test_no_seed_runs_in_a_database_that_is_not_its_own():
    with pytest.raises(CommandError, match="no scratch database"):
        call_command("simulate", "--seed", "1", "--inside")


@pytest.mark.lives
def test_the_command_runs_on_a_server_of_its_own():
    """Not on ours: with nothing but a path in its surroundings it starts one, and ends it."""
    keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    answer = subprocess.run(
        [sys.executable, "manage.py", "simulate", "--seeds", "0..1", "--days", "0.5", "--hashes"],
        cwd=PROJECT,
        env=keep,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert answer.returncode == 0, answer.stderr
    assert "2 seeds of 0.5 days" in answer.stdout
    assert "0 failed" in answer.stdout
