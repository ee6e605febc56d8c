"""Wake-ups run on a thread of their own, with the caller's request id, and never raise."""

import queue
import threading
from typing import Any

import pytest
import structlog

from speedtrade.lib import later as module
from speedtrade.lib.later import later


@pytest.fixture(autouse=True)
def in_background(settings: Any) -> None:
    settings.LATER_INLINE = False


def test_the_job_runs_elsewhere_and_knows_the_request_of_its_caller() -> None:
    """Fails without copy_context: the task that it publishes would have no request id."""
    seen: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
    with structlog.contextvars.bound_contextvars(request_id="abc-12345"):
        later(
            lambda: seen.put(
                (threading.current_thread().name, structlog.contextvars.get_contextvars())
            )
        )

    name, context = seen.get(timeout=5)
    assert name == "later"
    assert context["request_id"] == "abc-12345"


def test_a_job_that_fails_is_logged_and_the_next_one_runs(caplog: Any) -> None:
    done = threading.Event()

    later(lambda: 1 / 0)
    later(done.set)

    assert done.wait(5)
    assert "later_failed" in caplog.text


def test_a_full_queue_drops_instead_of_making_anybody_wait(monkeypatch: Any, caplog: Any) -> None:
    full: queue.Queue[Any] = queue.Queue(1)
    full.put_nowait(object())
    monkeypatch.setattr(module, "_jobs", full)
    monkeypatch.setattr(module, "_ensure_thread", lambda: None)

    later(print)

    assert "later_dropped" in caplog.text
