"""A worker that some orders kill: run as a program, with a pool as in real life.

`python -m tests.chaos.poisoned <file of deaths> <order that kills before its claim is kept>
<order that kills when it is sent>`: each death adds a line to the file first.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import django


def die(deaths: Path, word: str) -> NoReturn:
    """End this process as a crash of a library would, and leave a line."""
    with deaths.open("a") as file:
        file.write(f"{word}\n")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("it lives")


def poison(deaths: Path, at_claim: int, at_send: int) -> None:
    """From now on these two orders kill this process and what it forks."""
    from trading.brokers.paper.adapter import PaperBroker
    from trading.models import Order, Submission
    from trading.services import submissions

    claim, send = submissions._held_back, PaperBroker.submit_order

    def held_back(submission: Submission, account: Any) -> bool:
        if submission.order_id == at_claim:
            die(deaths, "claim")
        return claim(submission, account)

    def submit_order(broker: PaperBroker, request: Any) -> Any:
        if Order.objects.filter(pk=at_send, client_order_id=request.client_order_id).exists():
            die(deaths, "send")
        return send(broker, request)

    submissions._held_back = held_back
    PaperBroker.submit_order = submit_order  # type: ignore[method-assign]


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "speedtrade.settings")
    django.setup()
    file, first, second = sys.argv[1:]
    poison(Path(file), int(first), int(second))

    from speedtrade.celery import app

    app.worker_main(["worker", "--concurrency=2", "--without-gossip", "--without-mingle"])
