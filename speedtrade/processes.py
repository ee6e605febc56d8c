"""The processes of SpeedTrade as data: `manage.py up` runs them, docker-compose.yml must agree.

In an argv, "python" stands for the interpreter in use, and {bind} {port} {folder} are filled in.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Process:
    """One child of the supervisor; `grace` is how many seconds it has to end after SIGTERM."""

    name: str
    argv: tuple[str, ...]
    grace: float

    def command(self, values: Mapping[str, str]) -> list[str]:
        """The argv with every {name} filled in from `values`; a missing one raises KeyError."""
        return [part.format_map(values) for part in self.argv]


_CELERY = ("python", "-m", "celery", "-q", "-A", "speedtrade")

WEB = Process(
    "web",
    (
        *("python", "-m", "speedtrade.web", "-b", "{bind}", "-p", "{port}", "-v", "0"),
        "--no-server-name",
        "--http-timeout=60",
        "--websocket_timeout=43200",  # a socket starts afresh twice a day, before its groups expire
        "--websocket-max-message-size=16384",
        "speedtrade.asgi:application",
    ),
    grace=14,  # WEB_DRAIN_WAIT and WEB_DRAIN_REQUESTS, and a little more
)
WORKER = Process(
    "worker",
    (*_CELERY, "worker", "--concurrency=2", "--without-gossip", "--without-mingle"),
    grace=10,  # a task that takes longer is killed, and the sweep takes its work up again
)
BROKERS = Process(
    "brokers",
    (
        *_CELERY,
        "worker",
        "--queues=brokers",
        "--hostname=brokers@%h",
        "--pool=threads",  # they wait for answers, and share the vendors' libraries
        "--concurrency=8",
        "--without-gossip",
        "--without-mingle",
    ),
    grace=12,
)
BEAT = Process(
    "beat",
    (*_CELERY, "beat", "--schedule={folder}/beat-schedule"),
    grace=3,
)
FEED = Process("feed", ("python", "manage.py", "run_feed"), grace=6)
VENUE = Process("venue", ("python", "manage.py", "run_brokers"), grace=6)

# What makes new work stops first; what people look at stops last.
STOP_ORDER = (BEAT, FEED, VENUE, BROKERS, WORKER, WEB)
PREPARE = ("python", "manage.py", "prepare")
