"""Kill -9 at every named point, by dice, again and again: nothing lost and nothing doubled."""

import os
import random
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models import Sum
from django.utils import timezone

from tests.chaos.fleet import surroundings
from tests.chaos.killing import KILLED, Forks

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True)]

KILLS = int(os.environ.get("KILLS", "50"))
EACH = max(KILLS // 20, 1)  # at each point, so that none is passed by
SYMBOL = "AAPL"
ROUNDS = 10  # of healthy work after the last kill; each stands for one beat
SETTLED_SOMETIMES = 0.05  # after a kill; else the next one meets what this one left behind
WEB = (
    "after_idempotency_row",
    "after_hold",
    "before_commit",
    "after_commit_before_wakeup",
    "after_wakeup_before_response",
)
WORKER = (
    "after_claim",
    "before_call",
    "after_accept",
    "after_read_before_commit",
    "after_commit_before_ack",
    "after_adopt_before_release",
)
VENUE = ("venue_after_match", "mid_apply", "after_apply_before_broadcast")


class Dying:
    """One account that buys one share with each order, and the steps that die over it."""

    def __init__(self, dice: random.Random, forks: Forks, account_id: int) -> None:
        self.dice, self.forks, self.account_id = dice, forks, account_id
        self.keys: list[str] = []
        self.kills: Counter[str] = Counter()

    def place(self, crash: str = "") -> None:
        """One order; where its process dies, the client asks again with the same key."""
        key = f"kill-{len(self.keys)}"
        self.keys.append(key)
        args = ("place", self.account_id, SYMBOL, key)
        if crash:
            assert self.forks.run(*args, crash=crash) == KILLED
            self.kills[crash] += 1
        assert self.forks.run(*args) == 0

    def die(self, step: str, crash: str) -> None:
        """Let a step die at its point; it may have nothing to do that leads there so often."""
        code = self.forks.run(step, crash=crash, nth=self.dice.randint(1, 2))
        assert code in {0, KILLED}
        if code == KILLED:
            self.kills[crash] += 1

    def once(self, point: str) -> None:
        """Bring about one kill at this point, or try to."""
        if point in WEB:
            self.place(point)
            return
        for _ in range(self.dice.randint(1, 3)):
            self.place()
        if point in VENUE:
            assert self.forks.run("work") == 0
            self.die("match", point)
            return
        if point == "after_adopt_before_release":
            self.die("work", "after_accept")
        self.die("work", point)

    def lacking(self, points: list[str]) -> list[str]:
        """Where there must be more kills: anywhere, until there are enough, and then of each."""
        if sum(self.kills.values()) < KILLS:
            return points
        return [point for point in points if self.kills[point] < EACH]

    def settle(self) -> int:
        """Healthy steps until everything is done; how many rounds that took."""
        from trading.models import Order, Submission

        for number in range(ROUNDS):
            for step in ("work", "match", "poll"):
                assert self.forks.run(step) == 0
            if (
                not Order.objects.exclude(state="filled").exists()
                and not Submission.objects.filter(done_at__isnull=True).exists()
            ):
                return number + 1
        left = Order.objects.exclude(state="filled").values_list("pk", "state")
        raise AssertionError(f"not settled: {list(left)}")

    def prove(self) -> None:
        """Each key one order, here and at the venue, and every balance equal to its history."""
        from portfolio.models import Hold, LedgerAccount
        from portfolio.services.rebuild import ledger_check
        from trading.models import Fill, Order, PaperFill, PaperOrder

        placed = len(self.keys)
        assert Order.objects.count() == PaperOrder.objects.count() == placed
        ids = set(Order.objects.values_list("client_order_id", flat=True))
        assert set(PaperOrder.objects.values_list("client_order_id", flat=True)) == ids
        assert Fill.objects.aggregate(Sum("qty"))["qty__sum"] == placed
        assert PaperFill.objects.aggregate(Sum("qty"))["qty__sum"] == placed
        pockets = LedgerAccount.objects.filter(brokerage_account_id=self.account_id)
        assert pockets.get(kind="position", asset=SYMBOL).balance == placed
        assert not pockets.exclude(reserved=0).exists()
        assert not Hold.objects.filter(amount__gt=0).exists()
        assert ledger_check(now=timezone.now()).details == []
        print(f"{sum(self.kills.values())} kills over {placed} orders: none lost, none doubled")


@pytest.mark.fault("F1", "F2")
def test_many_kills_at_every_point_lose_and_double_nothing(tmp_path: Path) -> None:
    from speedtrade.testing.cast import account_of, make_user
    from speedtrade.testing.lives import D, cash_move, instrument_make

    now = timezone.now()
    account = account_of(make_user("killed"))
    cash_move(account, D(10_000_000), now)
    instrument_make(SYMBOL, "Apple Inc.", D("184.32"), "0.01", as_of=now + timedelta(hours=12))
    dying = Dying(random.Random(KILLS), Forks(surroundings(tmp_path)), account.pk)
    points = [*WEB, *WORKER, *VENUE]
    while lacking := dying.lacking(points):
        dying.once(dying.dice.choice(lacking))
        if dying.dice.random() < SETTLED_SOMETIMES:
            dying.settle()
            dying.prove()
    rounds = dying.settle()
    dying.prove()
    print(f"settled after {rounds} rounds: {dict(sorted(dying.kills.items()))}")
