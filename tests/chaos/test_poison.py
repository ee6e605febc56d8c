"""Work that ends its worker each time is put aside after a few tries, and the others get on."""

import signal
from collections import Counter
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from speedtrade.processes import VENUE, WORKER
from speedtrade.testing.waiting import wait_until
from tests.chaos.test_kills import BOOT, Desk, desk, fleet  # noqa: F401 - fixtures

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True)]

PARKED_WITHIN = 120  # seconds: the sweep looks every five, a machine may be busy


@pytest.mark.drill
@pytest.mark.fault("F27")
def test_what_ends_its_worker_each_time_is_put_aside_and_the_others_get_on(
    desk: Desk,  # noqa: F811
    tmp_path: Path,
) -> None:
    from trading.models import Order, ParkedTask, Submission
    from trading.services.parking import task_release

    desk.fleet.start(VENUE)
    desk.place(5)
    at_claim, at_send, *others = desk.orders
    deaths = tmp_path / "deaths"
    words = [str(deaths), str(at_claim), str(at_send)]
    worker = desk.fleet.run("poisoned", ["-m", "tests.chaos.poisoned", *words])
    filled = Order.objects.filter(state="filled")
    wait_until(lambda: ParkedTask.objects.count() == 2, PARKED_WITHIN, desk.words)
    # What is placed now comes behind them in every sweep, and is filled all the same.
    desk.place(2)
    wait_until(lambda: filled.count() == 5, BOOT, desk.words)
    assert set(filled.values_list("pk", flat=True)) == {*others, *desk.orders[5:]}
    assert worker.poll() is None, desk.words()  # its pool was killed, it was not

    parked = {row.task.rpartition(".")[2]: row for row in ParkedTask.objects.all()}
    rows = dict(Submission.objects.values_list("order_id", "pk"))
    assert parked["submission_send"].arguments == f"[{rows[at_claim]}]"
    assert parked["submission_recover"].arguments == f"[{rows[at_send]}]"
    assert "task_parked" in (tmp_path / "poisoned.log").read_text()
    died = Counter(deaths.read_text().split())
    # The one that is claimed first dies once more, in the task that claimed it.
    assert died == {"claim": settings.TASK_STARTS, "send": settings.TASK_STARTS + 1}

    worker.send_signal(signal.SIGKILL)
    worker.wait()
    desk.fleet.start(WORKER)
    for row in parked.values():
        task_release(
            parked=row, actor=desk.account.user, reason="The bug is mended.", now=timezone.now()
        )
    wait_until(desk.converged, BOOT, desk.words)
    desk.prove()
