"""The two embedded servers, started and killed for real."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from speedtrade import embedded
from speedtrade.datafolder import PROJECT, CannotStart, secrets_ensure
from speedtrade.embedded import (
    EmbeddedPostgres,
    EmbeddedServer,
    EmbeddedValkey,
    embedded_servers,
)
from speedtrade.testing.waiting import wait_until

pytestmark = pytest.mark.real_time


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "data"
    home.mkdir(mode=0o700)
    return home


@contextlib.contextmanager
def running(server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


def working_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error, OSError):
            if Path(process.cwd()).is_relative_to(folder) and process.status() != "zombie":
                found.append(process)
    return found


def one(address: str, sql: str) -> object:
    with psycopg.connect(address, autocommit=True) as connection:
        cursor = connection.execute(sql)
        row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None


def test_postgres_is_utf8_local_and_our_role_is_no_superuser(folder: Path) -> None:
    with running(EmbeddedPostgres(folder, durable=False)) as server:
        assert one(server.url(), "SHOW server_encoding") == "UTF8"
        assert one(server.url(), "SHOW listen_addresses") == ""
        assert one(server.url(), "SHOW jit") == "off"
        assert (
            one(server.url(), "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
        )
        assert server.socket_folder.stat().st_mode & 0o077 == 0
        assert server.home.stat().st_mode & 0o077 == 0
        assert os.geteuid() != 0 or server.home.stat().st_uid != 0
    assert working_in(folder) == []


def test_valkey_keeps_everything_and_asks_for_its_password(folder: Path) -> None:
    with running(EmbeddedValkey(folder)) as server:
        client = redis.Redis.from_url(server.url(), decode_responses=True)
        wanted = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
        assert client.config_get(*wanted) == wanted
        assert client.config_get("bind") == {"bind": "127.0.0.1"}
        stranger = redis.Redis(port=server.port)
        with pytest.raises(redis.AuthenticationError):
            stranger.ping()
        stranger.close()
        arguments = " ".join(psutil.Process(server.process.pid).cmdline())
        assert server.password not in arguments
        client.close()
    assert working_in(folder) == []


def test_what_was_stored_survives_kill_9_of_everything_and_a_pid_file_that_lies(
    folder: Path,
) -> None:
    database, store = EmbeddedPostgres(folder), EmbeddedValkey(folder)
    database.start()
    store.start()
    one(database.url(), "CREATE TABLE kept AS SELECT 42 AS answer")
    client = redis.Redis.from_url(store.url(), decode_responses=True)
    client.set("kept", "42")
    port = store.port

    killed = working_in(folder)
    for process in killed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    database.process.wait()
    store.process.wait()
    wait_until(lambda: working_in(folder) == [], 10, "all server processes gone")
    # After a restart of the machine these numbers may belong to any process of the same user: here
    # the server of this test session. Fails without the unlinking of both files in `prepare`.
    taken = next(p.pid for p in psutil.process_iter(["name"]) if p.info["name"] == "postgres")
    lies = [folder / "postgres" / "postmaster.pid", *database.socket_folder.glob("*.lock")]
    assert len(lies) == 2
    for pid_file in lies:
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(taken), *lines[1:]]) + "\n")

    with running(EmbeddedPostgres(folder)) as again:
        assert one(again.url(), "SELECT answer FROM kept") == 42
    with running(EmbeddedValkey(folder)) as again:
        assert again.port == port
        assert client.get("kept") == "42"
    client.close()


def test_a_server_that_a_former_run_left_running_is_ended_at_the_next_start(folder: Path) -> None:
    first = EmbeddedPostgres(folder, durable=False)
    first.prepare()
    orphan = subprocess.Popen(
        first.argv(), **{**first.options(), "preexec_fn": None}, stderr=subprocess.DEVNULL
    )
    wait_until(first.answers, 10, "the orphan serves")
    with running(EmbeddedPostgres(folder, durable=False)) as second:
        assert orphan.wait(5) == 0
        assert one(second.url(), "SELECT 1") == 1


def test_an_initialisation_that_was_killed_half_way_is_done_again(folder: Path) -> None:
    half_made = folder / "postgres.new"
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("18\n")
    with running(EmbeddedPostgres(folder, durable=False)) as server:
        assert one(server.url(), "SELECT 1") == 1
    assert not half_made.exists()


def test_a_folder_deeper_than_a_socket_path_may_be_long_works(folder: Path) -> None:
    deep = folder / ("d" * 90) / ("e" * 80)
    deep.mkdir(parents=True)
    with running(EmbeddedPostgres(deep, durable=False)) as server:
        assert not server.socket_folder.is_relative_to(folder)
        assert one(server.url(), "SELECT 1") == 1
    server.socket_folder.rmdir()


def test_two_folders_run_side_by_side_and_do_not_see_each_other(folder: Path) -> None:
    other = folder.with_name("other")
    other.mkdir()
    with (
        embedded_servers(folder, durable=False) as (one_database, one_store),
        embedded_servers(other, durable=False) as (two_database, two_store),
    ):
        assert one_database != two_database
        assert one_store != two_store
        one(one_database, "CREATE TABLE here AS SELECT 1 AS n")
        assert one(two_database, "SELECT to_regclass('here')") is None


HOLD = """
import sys, time
from pathlib import Path
from speedtrade.embedded import embedded_servers
with embedded_servers(Path(sys.argv[1]), durable=False) as urls:
    print("up", flush=True)
    sys.stdin.read()
"""


def test_the_servers_end_when_their_parent_is_killed(folder: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert parent.stdout.readline() == "up\n"
    assert len(working_in(folder)) > 1
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until(lambda: working_in(folder) == [], 10, "servers gone with their parent")
    parent.stdin.close()
    parent.stdout.close()


def test_secrets_are_made_once_and_private(folder: Path) -> None:
    first = secrets_ensure(folder)
    assert secrets_ensure(folder) == first
    assert (folder / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert len(set(first.values())) == len(first) == 5


def test_a_secret_that_a_newer_release_needs_is_added_and_the_old_ones_stay(folder: Path) -> None:
    (folder / "secrets.json").write_text('{"SECRET_KEY": "kept"}')
    added = secrets_ensure(folder)
    assert added["SECRET_KEY"] == "kept"
    assert len(added["VALKEY_PASSWORD"]) >= 32


@pytest.mark.parametrize(
    ("kind", "words"),
    [(EmbeddedPostgres, "set DATABASE_URL"), (EmbeddedValkey, "set REDIS_URL")],
)
def test_a_missing_wheel_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: type[EmbeddedServer], words: str
) -> None:
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CannotStart, match=words):
        kind(folder)


def test_root_without_a_user_to_become_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("read-only file system")

    monkeypatch.setattr(embedded.os, "geteuid", lambda: 0)
    monkeypatch.setattr(embedded, "SERVER_USER", "nobody-has-this-name")
    monkeypatch.setattr(embedded.subprocess, "run", refuse)
    with pytest.raises(CannotStart, match="start SpeedTrade as an ordinary user"):
        EmbeddedValkey(folder)


def test_a_folder_of_another_major_release_is_refused_before_it_is_touched(folder: Path) -> None:
    home = folder / "postgres"
    home.mkdir()
    (home / "PG_VERSION").write_text("16\n")
    with pytest.raises(CannotStart, match="written by PostgreSQL 16"):
        EmbeddedPostgres(folder).start()


def test_a_server_that_cannot_start_says_its_last_words(folder: Path) -> None:
    server = EmbeddedPostgres(folder, durable=False)
    server.prepare()
    (server.home / "global" / "pg_control").unlink()
    with pytest.raises(CannotStart, match="pg_control"):
        server.start()
    assert working_in(folder) == []
