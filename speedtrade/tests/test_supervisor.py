"""The supervisor with children of a few lines: restarts, order, and that nothing stays."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from speedtrade import supervisor as module
from speedtrade.datafolder import PROJECT, CannotStart
from speedtrade.embedded import EmbeddedServer, EmbeddedValkey
from speedtrade.supervisor import MARK, Child, Supervisor
from speedtrade.testing.waiting import wait_until

pytestmark = pytest.mark.real_time

FOREVER = "import time; print('here', flush=True); time.sleep(600)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + FOREVER


class Console:
    """Collects what the supervisor says."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, name: str, text: str) -> None:
        self.lines.append((name, text))

    async def until(self, part: str, times: int = 1) -> None:
        async with asyncio.timeout(20):
            while sum(part in text for _, text in self.lines) < times:
                await asyncio.sleep(0.01)


def python(name: str, code: str, grace: float = 5) -> Child:
    return Child(name, lambda: ["python", "-c", code], grace)


def marked(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == str(folder) and process.status() != "zombie":
                found.append(process)
    return found


@pytest.fixture
def console() -> Console:
    return Console()


@pytest.fixture
def keeper(tmp_path: Path, console: Console) -> Supervisor:
    return Supervisor(tmp_path, console)


async def test_a_child_that_ends_is_started_again_after_pauses_that_double_up_to_a_limit(
    keeper: Supervisor, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACKOFF_FIRST", 0.05)
    monkeypatch.setattr(module, "BACKOFF_MAX", 0.1)
    keeper.keep(python("brief", "raise SystemExit(3)"))
    await console.until("starting it again", times=3)
    await keeper.stop()
    assert [text for _, text in console.lines][:3] == [
        "ended with code 3; starting it again in 0.05 s",
        "ended with code 3; starting it again in 0.1 s",
        "ended with code 3; starting it again in 0.1 s",
    ]


async def test_a_child_that_lived_long_enough_starts_again_with_the_first_pause(
    keeper: Supervisor, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACKOFF_FIRST", 0.02)
    monkeypatch.setattr(module, "BACKOFF_RESET", 0.0)
    keeper.keep(python("steady", "raise SystemExit(0)"))
    await console.until("in 0.02 s", times=3)
    await keeper.stop()
    assert {text for _, text in console.lines} == {"ended with code 0; starting it again in 0.02 s"}


async def test_a_killed_child_is_said_by_the_name_of_the_signal_and_comes_back(
    keeper: Supervisor, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACKOFF_FIRST", 0.05)
    child = python("victim", FOREVER)
    keeper.keep(child)
    await console.until("here")
    child.process.kill()
    await console.until("was ended by SIGKILL; starting it again in 0.05 s")
    await console.until("here", times=2)
    await keeper.stop()
    assert marked(keeper.folder) == []


async def test_children_stop_in_the_reverse_of_their_start_one_after_the_other(
    keeper: Supervisor, console: Console
) -> None:
    last_word = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.1), print('bye'), sys.exit()))\n"
        "print('here', flush=True)\n"
        "time.sleep(600)"
    )
    for name in ("first", "second", "third"):
        keeper.keep(python(name, last_word))
    await console.until("here", times=3)
    await keeper.stop()
    assert [name for name, text in console.lines if text == "bye"] == ["third", "second", "first"]
    assert marked(keeper.folder) == []


async def test_a_child_deaf_to_sigterm_is_killed_when_its_grace_is_over(
    keeper: Supervisor, console: Console
) -> None:
    keeper.keep(python("deaf", DEAF, grace=0.3))
    await console.until("here")
    started = time.monotonic()
    await keeper.stop()
    assert time.monotonic() - started < 3
    assert ("deaf", "did not stop in time; killed") in console.lines
    assert marked(keeper.folder) == []


async def test_a_second_ctrl_c_takes_the_grace_away(keeper: Supervisor, console: Console) -> None:
    keeper.keep(python("deaf", DEAF, grace=60))
    await console.until("here")
    keeper.hurry = True
    started = time.monotonic()
    await keeper.stop()
    assert time.monotonic() - started < 5


async def test_what_a_child_started_does_not_outlive_it(
    keeper: Supervisor, console: Console
) -> None:
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {FOREVER!r}])"
    child = python("parent", code)
    keeper.keep(child)
    await console.until("here")
    assert len(marked(keeper.folder)) == 2
    child.process.kill()
    await console.until("was ended by SIGKILL")
    wait_until(lambda: marked(keeper.folder) == [], 5, "the grandchild is gone")
    await keeper.stop()


async def test_lines_carry_their_name_and_an_endless_line_is_cut(
    keeper: Supervisor, console: Console
) -> None:
    await keeper.run_once("talker", ["python", "-c", "print('one\\ntwo'); print('x' * 200_000)"])
    assert console.lines[:2] == [("talker", "one"), ("talker", "two")]
    long = [text for _, text in console.lines[2:]]
    assert sum(map(len, long)) == 200_000
    assert max(map(len, long)) <= 2 * module.LINE_MAX


async def test_a_command_that_fails_is_told_and_nothing_of_it_stays(keeper: Supervisor) -> None:
    with pytest.raises(CannotStart, match="prepare failed"):
        await keeper.run_once("prepare", ["python", "-c", "raise SystemExit(4)"])
    assert keeper.children == []


async def test_what_a_killed_run_left_is_ended_and_other_folders_are_left_alone(
    keeper: Supervisor, tmp_path: Path
) -> None:
    def leave(folder: Path) -> subprocess.Popen[bytes]:
        environment = {**os.environ, MARK: str(folder)}
        return subprocess.Popen([sys.executable, "-c", DEAF], env=environment, stdout=-3)

    ours, other = leave(tmp_path), leave(tmp_path / "other")
    wait_until(lambda: marked(tmp_path) and marked(tmp_path / "other"), 5, "both run")
    assert keeper.end_leftovers() == 1
    assert ours.poll() is not None
    assert other.poll() is None
    other.kill()
    other.wait()


class Broken(EmbeddedServer):
    """A server whose folder belongs to somebody else."""

    name = "broken"
    program = "broken"
    stop_signal = signal.SIGTERM

    def prepare(self) -> None:
        raise PermissionError(13, "Permission denied", str(self.home))


async def test_a_server_that_may_not_use_its_folder_is_one_sentence(
    keeper: Supervisor, tmp_path: Path
) -> None:
    with pytest.raises(CannotStart, match=r"broken cannot use its folder: .*Permission denied"):
        await keeper.keep_server(Broken(tmp_path))
    assert keeper.children == []


async def test_an_embedded_server_is_kept_and_comes_back_on_its_address(
    keeper: Supervisor, console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACKOFF_FIRST", 0.05)
    server = EmbeddedValkey(tmp_path)
    await keeper.keep_server(server)
    address = server.url()
    keeper.children[0].process.kill()
    await console.until("was ended by SIGKILL")
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(server.answers):
            await asyncio.sleep(0.02)
    assert server.url() == address
    await keeper.stop()
    assert not server.answers()


SUPERVISE = """
import asyncio, sys
from pathlib import Path
from speedtrade.supervisor import Child, Supervisor
async def main():
    keeper = Supervisor(Path(sys.argv[1]), lambda name, text: print(name, text, flush=True))
    keeper.keep(Child("one", lambda: ["python", "-c", sys.argv[2]], 5))
    await asyncio.Event().wait()
asyncio.run(main())
"""


def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, str(tmp_path), DEAF],
        cwd=PROJECT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert parent.stdout.readline() == "one here\n"
    assert len(marked(tmp_path)) == 1
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: marked(tmp_path) == [], 5, "children gone with their supervisor")
