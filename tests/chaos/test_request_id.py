"""One request, one id: what the browser is told is what the worker's log says of its order."""

import json
from pathlib import Path
from typing import Any

import pytest

from speedtrade.processes import WORKER
from speedtrade.testing.cast import ApiClient, make_user
from speedtrade.testing.waiting import wait_until
from tests.chaos.fleet import Fleet

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True)]
PATIENCE = 120  # seconds for a worker to start on a busy machine


def lines_of(log: Path) -> list[dict[str, Any]]:
    text = log.read_text() if log.exists() else ""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_the_id_of_a_request_is_in_the_lines_of_the_task_that_it_began(tmp_path: Path) -> None:
    from django.utils import timezone

    from speedtrade.testing.lives import D, instrument_make

    instrument_make("AAPL", "Apple", D(100), "0.01", as_of=timezone.now())
    script = ApiClient(user=make_user("alice"))
    order = {
        "symbol": "AAPL",
        "side": "buy",
        "order_type": "limit",
        "qty": "1",
        "limit_price": "90",
    }
    order["time_in_force"] = "gtc"
    answers = [
        script.post("orders", order, **{"Idempotency-Key": key, **ids})
        for key, ids in (("one-key-1", {}), ("other-key-2", {"X-Request-Id": "browser-chose-4711"}))
    ]
    assert [answer.status_code for answer in answers] == [201, 201], answers[0].content
    given = [answer["X-Request-Id"] for answer in answers]
    assert given[1] == "browser-chose-4711" and given[0] != given[1]
    fleet = Fleet(tmp_path)
    fleet.surroundings = {
        "SPEEDTRADE_ENV": "production",  # its log is JSON
        "ALLOWED_HOSTS": "trade.example.com",
        "LOG_LEVEL": "INFO",
    }
    log = tmp_path / "worker.log"

    def ids() -> set[str]:
        lines = lines_of(log)
        ours = [one for one in lines if one.get("task") == "trading.tasks.submission_send"]
        return {one["request_id"] for one in [*ours, *lines] if "request_id" in one}

    try:
        fleet.start(WORKER)
        wait_until(lambda: set(given) <= ids(), PATIENCE, lambda: f"{given} in\n{fleet.words()}")
    finally:
        fleet.end()
    tasks = {
        line.get("task_id")
        for line in lines_of(log)
        if line.get("request_id") == given[1] and line.get("event") == "task_started"
    }
    assert len(tasks) == 1
