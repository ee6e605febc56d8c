"""Do a small thing right after the answer, on one background thread, and never make anybody wait.

For wake-ups only (Celery messages, live events): all that they announce is in the database, and a
sweeper finds what a lost one would have told. So a full queue drops, and an error is only logged.
What waits together is told to Redis together: an order wakes a worker and the owner's pages by one
round trip.
"""

import contextvars
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import close_old_connections

from speedtrade.lib.redis import redis_client
from speedtrade.lib.stage import stage

logger = logging.getLogger(__name__)
QUEUE_LIMIT = 10_000
#: Jobs that share a round trip at most: none waits for many others.
BATCH = 64

Job = tuple[contextvars.Context, Callable[..., Any], tuple[Any, ...]]
_jobs: "queue.Queue[Job]" = queue.Queue(QUEUE_LIMIT)
_start = threading.Lock()
_thread: threading.Thread | None = None
_here = threading.local()


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
    later(_when_told, done.set)
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


def redis_tell(*command: str | bytes) -> None:
    """Send Redis a command whose answer nobody needs: at once, or with the batch that runs."""
    told: list[tuple[str | bytes, ...]] | None = getattr(_here, "told", None)
    if told is None:
        redis_client().execute_command(*command)
    else:
        told.append(command)


def _work() -> None:
    while True:
        batch = [_jobs.get()]
        while len(batch) < BATCH and not _jobs.empty():  # nobody else takes from it
            batch.append(_jobs.get_nowait())
        close_old_connections()  # one that broke since the last batch is made anew
        _here.told, _here.after = [], []
        for context, job, args in batch:
            context.run(_run, job, args)
        told, _here.told = _here.told, None
        _run(_tell, (told,))
        for job in _here.after:
            _run(job, ())


def _when_told(job: Callable[[], Any]) -> None:
    """Run it once Redis has been told of all that came before."""
    if getattr(_here, "told", None) is None:
        job()
    else:
        _here.after.append(job)


def _tell(told: list[tuple[str | bytes, ...]]) -> None:
    if len(told) < 2:
        for command in told:
            redis_client().execute_command(*command)
        return
    with redis_client().pipeline(transaction=False) as pipeline:
        for command in told:
            pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
        pipeline.execute()


def _run(job: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        job(*args)
    except Exception:
        # Whatever it was: the sweeper does the work that this would have hurried.
        logger.warning("later_failed", exc_info=True)
