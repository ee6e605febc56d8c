"""A PostgreSQL of the simulation's own, in a folder that goes with it, and its workers.

Nothing of the installation is read but its code: neither its database, nor its Redis, nor its
settings, so a seed is the same life everywhere.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from speedtrade.datafolder import PROJECT, secrets_ensure
from speedtrade.embedded import EmbeddedPostgres

PREFIX: Final = "simulation_"  # of the databases in which seeds may run
KEPT: Final = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONHASHSEED", "VIRTUAL_ENV")


@contextmanager
def scratch(workers: int) -> Iterator[list[dict[str, str]]]:
    """The surroundings of each worker, with a migrated database of its own; all gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="speedtrade-simulation-") as name:
        folder = Path(name)
        server = EmbeddedPostgres(folder, durable=False)
        server.start()
        try:
            places = [_surroundings(folder, server.url(), number) for number in range(workers)]
            _database(server.url(), 0)
            _manage(["migrate", "--verbosity", "0"], places[0])
            for number in range(1, workers):
                _database(server.url(), number)
            yield places
        finally:
            server.stop()


def _surroundings(folder: Path, url: str, number: int) -> dict[str, str]:
    secrets = secrets_ensure(folder)
    return {
        **{name: os.environ[name] for name in KEPT if name in os.environ},
        **{name: secrets[name] for name in ("SECRET_KEY", "JWT_SIGNING_KEY", "FIELD_KEYS")},
        "SPEEDTRADE_ENV": "development",
        "SPEEDTRADE_DATA_DIR": str(folder),
        "DATABASE_URL": urlsplit(url)._replace(path=f"/{PREFIX}{number}").geturl(),
        "REDIS_URL": "redis://127.0.0.1:1/0",  # nobody is there
        "DJANGO_SETTINGS_MODULE": "speedtrade.settings",
    }


def _database(url: str, number: int) -> None:
    """Make a database: the first is empty, the others are like the first."""
    made = sql.Identifier(f"{PREFIX}{number}")
    model = sql.Identifier(f"{PREFIX}0" if number else "template0")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(made, model))


def _manage(arguments: list[str], place: dict[str, str]) -> None:
    subprocess.run([sys.executable, "manage.py", *arguments], cwd=PROJECT, env=place, check=True)


def run_all(
    arguments: list[list[str]], places: list[dict[str, str]]
) -> Generator[dict[str, Any], None, None]:
    """What the workers say, line by line, as it comes; closing the iterator ends them all."""
    workers = [
        subprocess.Popen(
            [sys.executable, "manage.py", "simulate", "--inside", *words],
            cwd=PROJECT,
            env=place,
            stdout=subprocess.PIPE,
            text=True,
        )
        for words, place in zip(arguments, places, strict=True)
    ]
    try:
        yield from _merged([worker.stdout or () for worker in workers])
        if any(worker.wait() for worker in workers):
            raise RuntimeError("a worker of the simulation did not end well")
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def _merged(streams: list[Iterable[str]]) -> Iterator[dict[str, Any]]:
    """Lines of several streams in the order in which they come."""
    with ThreadPoolExecutor(len(streams)) as pool:
        readers = [iter(stream) for stream in streams]
        pending: dict[Future[str | None], Iterator[str]] = {
            pool.submit(next, reader, None): reader for reader in readers
        }
        while pending:
            for done in wait(pending, return_when=FIRST_COMPLETED).done:
                reader, line = pending.pop(done), done.result()
                if line is not None:
                    pending[pool.submit(next, reader, None)] = reader
                    yield json.loads(line)
