"""Do a small thing right after the answer, on one background thread, and never make anybody wait.

For wake-ups only (Celery messages, live events): all that they announce is in the database, and a
sweeper finds what a lost one would have told. So a full queue drops, and an error is only logged.
"""

import contextvars
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

from django.conf import settings

from speedtrade.lib.stage import stage

logger = logging.getLogger(__name__)
QUEUE_LIMIT = 10_000

Job = tuple[contextvars.Context, Callable[..., Any], tuple[Any, ...]]
_jobs: "queue.Queue[Job]" = queue.Queue(QUEUE_LIMIT)
_start = threading.Lock()
_thread: threading.Thread | None = None


def later(job: Callable[..., Any], *args: Any) -> None:
    """Run `job(*args)` soon, in the context of the caller: its request id goes along to Celery.

    In tests it runs at once, so that they can see what it did.
    """
    here = stage()
    if here is not None:
        here.later(job, args)
        return
    if settings.LATER_INLINE:
        _run(job, args)
        return
    _ensure_thread()
    try:
        _jobs.put_nowait((contextvars.copy_context(), job, args))
    except queue.Full:
        logger.warning("later_dropped", extra={"job": getattr(job, "__qualname__", str(job))})


def later_done(within: float) -> bool:
    """Wait until what was given so far has run, at most so many seconds; whether it has.

    For a command that is about to end: its background thread ends with it.
    """
    done = threading.Event()
    later(done.set)
    return done.wait(within)


def _ensure_thread() -> None:
    # Looked at each time: a forked worker inherits the name, not the thread.
    global _thread
    if _thread is not None and _thread.is_alive():
        return
    with _start:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_work, name="later", daemon=True)
            _thread.start()


def _work() -> None:
    while True:
        context, job, args = _jobs.get()
        context.run(_run, job, args)


def _run(job: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        job(*args)
    except Exception:
        # Whatever it was: the sweeper does the work that this would have hurried.
        logger.warning("later_failed", exc_info=True)
