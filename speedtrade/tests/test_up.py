"""`manage.py up` as a person meets it: refusals in one sentence, and the whole thing alive."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.management import call_command

from speedtrade import embedded
from speedtrade.datafolder import PROJECT, CannotStart, FolderLock, data_folder
from speedtrade.env import read_json
from speedtrade.health import HEARTBEAT_FEED, HEARTBEAT_WORKER
from speedtrade.healthcheck import ask_health
from speedtrade.management.commands import up
from speedtrade.management.commands.up import Run
from speedtrade.testing.product import free_port
from speedtrade.testing.running import Running, of_folder
from speedtrade.testing.waiting import wait_until

pytestmark = pytest.mark.real_time


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "data"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("SPEEDTRADE_DATA_DIR", str(home))
    monkeypatch.setenv("SPEEDTRADE_ENV", "development")
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "JWT_SIGNING_KEY", "FIELD_KEYS"):
        monkeypatch.delenv(name, raising=False)
    return home


def refusal(port: int) -> str:
    """What `manage.py up` says when it refuses, having checked that it ends with code 1."""
    errors = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("up", port=port, stderr=errors)
    assert ended.value.code == 1
    return errors.getvalue()


def test_a_second_copy_on_one_folder_says_who_runs_and_leaves_it_alone(folder: Path) -> None:
    first = FolderLock(folder)
    first.take("http://127.0.0.1:8123")
    said = refusal(free_port())
    first.release()
    assert said.count("\n") == 1
    assert f"Another copy is running on the data folder {folder}" in said
    assert f"pid {os.getpid()}, http://127.0.0.1:8123" in said
    assert not (folder / "postgres").exists()


def test_a_taken_port_is_one_sentence_and_nothing_was_started(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refusal(port)
    assert said.count("\n") == 1
    assert f"Port {port} on 127.0.0.1 cannot be used" in said
    assert not (folder / "postgres").exists()
    FolderLock(folder).take("the folder is free again")


def test_a_missing_wheel_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda name: None)
    said = refusal(free_port())
    assert said.count("\n") == 1
    assert "PostgreSQL is not installed here" in said
    assert of_folder(folder) == []


def test_a_folder_that_cannot_be_written_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder / "file"
    file.touch()
    monkeypatch.setenv("SPEEDTRADE_DATA_DIR", str(file / "inside"))
    with pytest.raises(CannotStart, match="choose another with SPEEDTRADE_DATA_DIR"):
        data_folder()


def test_a_bad_setting_is_one_sentence(folder: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "manage.py", "up"],
        cwd=PROJECT, env={**os.environ, "SIMULATED_MARKET_HOURS": "sometimes"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr == "SIMULATED_MARKET_HOURS must be one of always, nyse, not 'sometimes'.\n"


async def test_servers_that_are_set_are_not_started_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody@db.example/theirs")
    monkeypatch.setenv("REDIS_URL", "redis://queue.example:6379/0")
    run = Run(free_port())
    await run._start_servers()
    assert run.supervisor.children == []
    assert run.supervisor.environment["DATABASE_URL"].endswith("db.example/theirs")
    assert read_json(folder / "runtime.json").keys() == {"pid"}


async def test_it_is_ready_only_once_health_says_ok(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fails where patience ends in "ready": a script that waited for it would find it degraded."""
    words = [None, "no sign of life", "no sign of life", "ok"]

    def answer(host: str, port: int) -> dict[str, Any] | None:
        word = words.pop(0)
        status = "ok" if word == "ok" else "degraded"
        return word and {"status": status, "checks": {"worker": word, "feed": "ok"}}

    monkeypatch.setattr(up, "ask_health", answer)
    monkeypatch.setattr(up, "READY_PATIENCE", -1.0)
    monkeypatch.setattr(up, "READY_ASK", 0.001)
    run = Run(free_port())
    await run._until_ready()
    assert words == []
    assert capsys.readouterr().out.splitlines() == [
        f"      up | {run.address} serves, but not all is well yet: worker"
    ]


async def test_signs_of_life_of_the_last_run_are_none_of_this_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails without the forgetting: after a quick restart /health is ok before a worker runs."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody@db.example/theirs")
    left: list[int] = []
    for _ in range(2):
        run = Run(free_port())
        await run._start_servers()
        with redis.Redis.from_url(run.supervisor.environment["REDIS_URL"]) as client:
            left.append(client.exists(HEARTBEAT_WORKER, HEARTBEAT_FEED, "another"))
            client.mset({HEARTBEAT_WORKER: "1", HEARTBEAT_FEED: "1", "another": "1"})
        await run.supervisor.stop()
    assert left == [0, 1], "what else is in there stays"


@pytest.fixture
def start(folder: Path) -> Iterator[Any]:
    begun: list[Running] = []

    def begin() -> Running:
        begun.append(Running(folder, free_port()))
        return begun[-1]

    yield begin
    for product in begun:
        if product.process.poll() is None:
            product.end()
    for process in of_folder(folder):
        process.kill()


STOPPED_LINE = r"stopped; nothing is left running"


@pytest.mark.serial
def test_the_whole_product_starts_heals_stops_and_recovers_from_kill_9(start: Any) -> None:
    product = start()
    product.until(r"ready after")
    assert (ask_health("127.0.0.1", product.port) or {}).get("status") == "ok"
    product.until(r"demo login: demo +password: paper-")
    product.until(r"the demo account trades paper money")

    # Whatever dies comes back, and it is said; the servers too.
    product.database("CREATE TABLE kept AS SELECT 42 AS answer")
    victims = {
        "web": "speedtrade.web",
        "worker": "speedtrade worker",
        "beat": "speedtrade beat",
        "feed": "run_feed",
        "venue": "run_brokers",
        "valkey": "valkey-server",
        "postgres": "bin/postgres",
    }
    for part in victims.values():
        product.child(part).kill()
    for name in victims:
        product.until(rf"{name} \| was ended by SIGKILL; starting it again in", 60)
    product.until_well()

    # Everything at once, as a machine that loses power.
    product.process.kill()
    product.end()
    wait_until(lambda: of_folder(product.folder) == [], 15, "all processes gone")

    again = start()
    again.until(r"ready after")
    assert again.database("SELECT answer FROM kept") == (42,)
    again.process.send_signal(signal.SIGTERM)
    again.process.wait(60)
    again.until(STOPPED_LINE, 5)
    assert again.process.returncode == 0
    assert again.said("did not stop in time") == []
    assert of_folder(again.folder) == []
    assert not (again.folder / "runtime.json").exists()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", again.port), timeout=2)


@pytest.mark.serial
def test_children_of_a_killed_supervisor_are_gone_or_ended_and_ctrl_c_stops_a_start(
    start: Any,
) -> None:
    product = start()
    product.until(r"prepare \| ")
    product.process.send_signal(signal.SIGKILL)
    product.process.wait()
    second = start()
    second.until(r"prepare \| ")
    second.process.send_signal(signal.SIGINT)
    second.process.wait(30)
    second.until(STOPPED_LINE, 5)
    assert of_folder(second.folder) == []
