"""A simulated house: a clock, a heap of what is to come, and the processes that run on them.

`step` takes the next event and lets one of our processes do what it would do then: a worker, the
venue, the sweepers as the beat starts them, a person at a door. Around each the faults of the seed
strike. After each the promises are looked at, and a line goes into the trace.
"""

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from typing import Any, Final

from django.db import connection

from marketdata import quote_store
from marketdata.hours import market_hours
from speedtrade.lib.crash import Killed
from speedtrade.lib.errors import DomainError
from trading.brokers.paper.adapter import VENUE_CHANNEL
from trading.brokers.paper.venue import BrokerReport, PaperVenue
from trading.models import Order
from trading.services.executions import report_apply
from trading.services.lost import lost_release
from trading.services.outbox import submission_hand_over
from trading.services.reconciliation import orders_poll, submissions_sweep
from trading.services.submissions import submission_process
from trading.simulation.checks import Checks
from trading.simulation.dice import Dice, Faults
from trading.simulation.market import LISTINGS, Listing, Market
from trading.simulation.memory import MemoryRedis
from trading.simulation.people import People
from trading.simulation.settling import BEAT, LAST, settle
from trading.simulation.switches import Switches
from trading.simulation.trace import Trace, Violation

DAY: Final = timedelta(days=1)
#: After so many beats in a row only every other one is played, then every fourth, and so on: what
#: waits for a resume or for a person is not hurried by a thousand sweeps that find the same.
BEATS: Final = 6
GAP_MAX: Final = 1800.0
BURSTS: Final = (0, 0, 0, 1, 2)  # how often people come by on a day: mostly it is quiet
TICKS: Final = 2  # prices that follow such a burst
#: What people do; whatever comes of it has not been waited for before.
ACTED: Final = {"person", "person_as", "retry"}
FULL_EVERY: Final = 15  # steps between two checks of the whole ledger


class World:
    """One seed. It is the stage (`speedtrade.lib.stage`) on which the product's own code runs."""

    def __init__(self, dice: Dice, cast: "Any", start: datetime, days: float, trace: Trace) -> None:
        self.dice, self.trace = dice, trace
        self.faults = Faults(dice, lambda: self.now)
        self.proof = dice["line"].random() < 0.75  # whether a miss of the venue proves an absence
        self.start, self.now = start, start
        self.end = start + timedelta(days=days)
        self.redis = MemoryRedis(self._heard)
        # Few symbols a seed: then orders meet each other's fills, lots and quotes.
        self.listings = dice["symbols"].sample(LISTINGS, dice["symbols"].choice([1, 1, 2, 3]))
        self.market = Market(dice, self.faults)
        self.hours = market_hours()
        self.venue: PaperVenue | None = PaperVenue(self.hours)
        self.told: dict[tuple[int, str], str] = {}  # what the line knows of (account, client id)
        self.arrived: dict[tuple[int, str], datetime] = {}
        self.disturbed: datetime | None = None  # when somebody last did something
        self.right: datetime | None = start  # since when ours is the venue's truth; None: it is not
        self.converged = 0.0  # seconds from the last fault until then
        self.absent = False  # whether an order that was waited for never got to the venue
        self.checks = Checks(self, cast)
        self.people = People(self, cast)
        self.switches = Switches(self, cast.staff)
        self._heap: list[tuple[datetime, int, str, tuple[Any, ...]]] = []
        self._count = 0
        self._chain = 0  # beats that belong to an older chain are not played
        self._beats = 0  # of the chain that runs; 0: none does, nobody waits for anything

    # ── the stage ────────────────────────────────────────────────────────────
    def crash(self, name: str) -> None:
        if self.faults.strike("crash"):
            raise Killed(name)

    def later(self, job: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Wake-ups reach a worker or get lost; what browsers are told goes nowhere."""
        if job is submission_hand_over and not self.faults.strike("wake_lost"):
            self.at(self.dice["worker"].uniform(0.001, 0.5), "work", args[0])

    def _heard(self, channel: str, text: str) -> None:
        """What was published: a wake-up of the venue, or new prices."""
        if self.venue is None or self.faults.strike("wake_lost"):
            return
        if channel == VENUE_CHANNEL:
            self.at(0.02, "look", int(text))
            return
        for wire in json.loads(text):
            quote = self.market.shown[wire["symbol"], wire["seq"]]
            if self.venue.reached(quote.symbol, quote.bid, quote.ask):
                self.at(0.01, "match", quote.symbol)

    # ── time ─────────────────────────────────────────────────────────────────
    def at(self, seconds: float, what: str, *args: Any) -> None:
        """Put an event on the heap. Equal times keep the order in which they were put there."""
        moment = self.now + timedelta(microseconds=round(seconds * 1_000_000))
        self._count += 1
        heappush(self._heap, (moment, self._count, what, args))

    def pass_time(self, seconds: float) -> None:
        """A call takes its time."""
        self.now += timedelta(seconds=seconds)

    def run(self) -> None:
        """All of it: the days, then quiet, and then the truth. Raises Violation."""
        self.at(0, "day", 0)
        # A last visit, so that the faults end while much is under way.
        self.at(max((self.end - self.start - LAST).total_seconds(), 0), "burst")
        while self._heap and self._heap[0][0] <= self.end:
            self.next()
        self.settle()

    def settle(self) -> None:
        """The end: see `settling`."""
        settle(self)

    def go_on(self, count: int) -> None:
        """The next events, as many as there are."""
        for _ in range(min(count, len(self._heap))):
            self.next()

    def next(self) -> None:
        moment, _, what, args = heappop(self._heap)
        self.now = max(self.now, moment)
        self.step(what, *args)

    def step(self, what: str, *args: Any) -> None:
        """One process does one thing, and everybody's promises are looked at."""
        if what in ACTED:
            self.disturbed = self.now
        came = self.guarded(getattr(self, f"_{what}"), *args)
        self._commit()
        changed = self.checks.look(late=what in {"beat", "venue_poll"})
        if self.trace.steps % FULL_EVERY == FULL_EVERY - 1:
            self.checks.books.look_at_all()
        self.trace.add(self.now, what, came, changed)
        self.right = (self.right or self.now) if self.checks.idle else None
        if self.faults.on:
            self._beat_on(what, args, changed)

    def guarded(self, act: Callable[..., str | None], *args: Any) -> str:
        """Run it as a process of its own: refused, dead or done. Anything else is a violation."""
        try:
            return act(*args) or ""
        except Killed as death:
            return f"killed at {death}"
        except DomainError as refusal:
            return refusal.code
        except Exception as error:
            words = f"{type(error).__name__}: {error}".splitlines()[0]
            raise Violation("no service breaks", words[:300]) from error

    def _commit(self) -> None:
        """What waits for the commit runs now: the world's transaction itself never commits."""
        waiting, connection.run_on_commit = connection.run_on_commit, []
        for _, job, *_ in waiting:
            with suppress(Killed):
                job()

    # ── what happens ─────────────────────────────────────────────────────────
    def _day(self, number: int) -> None:
        """Put the day's visits and openings on the heap."""
        self.at(DAY.total_seconds(), "day", number + 1)
        luck = self.dice["day"]
        opened = self.hours.session_on("stock", self.now.date())
        for _ in range(luck.choice(BURSTS)):
            moment = self.now + DAY * luck.random()
            if opened is not None and luck.random() < 0.8:
                moment = opened.open + (opened.close - opened.open) * luck.random()
            if moment >= self.now:
                self.at((moment - self.now).total_seconds(), "burst")
        if opened is not None and opened.open >= self.now:
            for one in self.listings:
                self.at((opened.open - self.now).total_seconds() + 1, "price", one)

    def _burst(self) -> None:
        """Somebody comes by, does some things, and the market moves on."""
        luck = self.dice["burst"]
        for _ in range(luck.randint(1, 7)):
            self.at(luck.uniform(0, 20), "person")
        for _ in range(TICKS):
            self.at(luck.uniform(1, 60), "price", luck.choice(self.listings))

    def _person(self) -> str:
        return self.people.act()

    def _person_as(self, name: str, who: str) -> str:
        return self.people.act_as(name, who)

    def _retry(self, name: str, number: int) -> str:
        return self.people.retry(name, number)

    def _unhalt(self, symbol: str) -> None:
        self.switches.unhalt(symbol)

    def _resume(self) -> None:
        self.switches.resume()

    def _price(self, one: Listing) -> str:
        return f"{one.symbol} {self.market.move(one, self.now)}"

    def _work(self, submission_id: int) -> None:
        submission_process(submission_id=submission_id, now=self.now)

    def _look(self, paper_id: int) -> None:
        if self.venue is not None:
            self._venue_does(self.venue.look(paper_id, self.now))

    def _match(self, symbol: str) -> None:
        if self.venue is not None:
            quotes = quote_store.quotes_get([symbol])
            self._venue_does(self.venue.tick([symbol], quotes, lambda: self.now))

    def _venue_poll(self) -> None:
        if self.venue is not None:
            self._venue_does(self.venue.poll(lambda: self.now))

    def _venue_starts(self) -> None:
        self.venue = PaperVenue(self.hours)
        self._venue_does(self.venue.load(self.now))

    def _venue_does(self, reports: Iterable[BrokerReport]) -> None:
        """What the venue tells goes its ways; a venue that dies over it begins anew."""
        try:
            for report in reports:
                self._deliver(report)
        except Killed:
            self.venue = None
            self.at(self.dice["venue"].uniform(1, 4), "venue_starts")
            raise

    def _deliver(self, report: BrokerReport) -> None:
        if self.faults.strike("report_lost"):
            return
        late = self.dice["late"].uniform(0.1, 20) if self.faults.strike("report_late") else 0.005
        self.at(late, "report", report)
        if self.faults.strike("report_twice"):
            self.at(late + self.dice["late"].uniform(0, 30), "report", report)

    def _report(self, report: BrokerReport) -> None:
        report_apply(
            account_id=report.account_id, report=report.order, source="venue", now=self.now
        )

    def _beat(self, chain: int) -> str:
        """What the beat starts: the sweep, the poll; and the venue's own reminder."""
        if chain != self._chain:
            return "not played"
        came = [
            self.guarded(self._sweep),
            self.guarded(lambda: str(orders_poll(now=self.now))),
            self.guarded(self._venue_poll),
        ]
        return " ".join(came)

    def _beat_on(self, what: str, args: tuple[Any, ...], changed: list[str]) -> None:
        """The beat goes on while somebody waits for something, ever slower while nothing comes."""
        if what == "beat" and args != (self._chain,):
            return
        if self.checks.idle:
            self._beats = 0 if what == "beat" else self._beats
        elif what == "beat" and not changed:
            self._beats += 1
            gap = BEAT * 2 ** max(min(self._beats - BEATS, 10), 0)
            self.at(min(gap, GAP_MAX), "beat", self._chain)
        elif what == "beat" or self._beats == 0 or (self._beats > BEATS and changed):
            self._chain, self._beats = self._chain + 1, 1
            self.at(BEAT, "beat", self._chain)

    def _sweep(self) -> str:
        return str(
            submissions_sweep(
                now=self.now, wake=lambda pk: submission_process(submission_id=pk, now=self.now)
            )
        )

    def _release(self) -> None:
        """An operator gives up what the venue does not have."""
        for order in Order.objects.filter(pk__in=self.checks.absent()).order_by("id"):
            lost_release(
                order=order, actor=self.switches.staff, reason="gone", source="admin", now=self.now
            )

    # ── the end ──────────────────────────────────────────────────────────────
    def keep(self, kinds: set[str]) -> None:
        """Only these events come any more."""
        self._heap = [event for event in self._heap if event[2] in kinds]
        heapify(self._heap)

    def awaits(self, kinds: set[str]) -> bool:
        """Whether one of these events is to come."""
        return any(event[2] in kinds for event in self._heap)

    def beat_for(self, seconds: float) -> None:
        """All that comes in so many seconds, at whose end the beat is."""
        self.at(seconds, "beat", self._chain)
        target = self.now + timedelta(seconds=seconds)
        while self._heap and self._heap[0][0] <= target:
            self.next()
        self.now = max(self.now, target)
