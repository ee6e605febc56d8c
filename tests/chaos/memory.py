"""How the memory of each kind of process grows while its like is killed and started again.

What was started lately is smaller than what has worked for a while, so only what has lived for WARM
counts; of the kinds that are killed to the end there is one more each, which nobody kills, and only
that one is measured, with its pool. The median of the first third is compared with that of the last
one, in memory that no file stands behind. A page that a fork shares counts in each that has it, so
that one which it shares no longer is no growth.
"""

import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from speedtrade.testing.running import of_folder

ALONE = {"feed": "run_feed", "venue": "run_brokers", "beat": "speedtrade beat"}
WARM = 90.0  # seconds; a sixth of a short run
EVERY = 3.0  # seconds between two looks
GROWTH = 1.05
LEAST = 5  # samples, without which a kind says nothing


def anonymous(process: psutil.Process) -> int:
    """Bytes of a process that no file stands behind, shared or not; raises psutil.NoSuchProcess."""
    try:
        text = Path(f"/proc/{process.pid}/status").read_text()
    except OSError as error:  # it ended, before the file was opened or after
        raise psutil.NoSuchProcess(process.pid) from error
    lines = (line.split() for line in text.splitlines())
    return next((int(words[1]) * 1024 for words in lines if words[0] == "RssAnon:"), 0)


def tree(pid: int) -> list[psutil.Process]:
    """A process and what it forked."""
    eldest = psutil.Process(pid)
    return [eldest, *eldest.children(recursive=True)]


class Memory:
    """Samples of the processes of a run, in a thread of its own, until `over`."""

    def __init__(self, folder: Path, seconds: float, kept: Mapping[str, int]) -> None:
        """`kept` is {kind: process id} of those that nobody kills."""
        self.folder, self.seconds, self.kept = folder, seconds, kept
        self.warm = min(WARM, seconds / 6)
        self.over = threading.Event()
        self._samples: dict[str, list[tuple[float, int]]] = defaultdict(list)

    def run(self) -> None:
        began = time.monotonic()
        while not self.over.wait(EVERY):
            at = time.monotonic() - began
            for kind, processes in self._alive():
                with suppress(psutil.Error):
                    if time.time() - processes[0].create_time() >= self.warm:
                        size = sum(anonymous(one) for one in processes)
                        self._samples[kind].append((at, size))

    def _alive(self) -> Iterator[tuple[str, list[psutil.Process]]]:
        for kind, pid in self.kept.items():
            with suppress(psutil.Error):
                processes = tree(pid)
                if processes[0].status() != psutil.STATUS_ZOMBIE:  # it died: that is told below
                    yield kind, processes
        for process in of_folder(self.folder):
            with suppress(psutil.Error):
                words = " ".join(process.cmdline())
                for kind, part in ALONE.items():
                    if part in words:
                        yield kind, [process]

    def rows(self) -> Iterator[tuple[str, str, str, bool]]:
        """(name, measured, goal, whether it is kept) of each kind; a short run judges none."""
        third, short = self.seconds / 3, self.seconds < 6 * WARM
        for kind in (*self.kept, *ALONE):
            early = [size for at, size in self._samples[kind] if at <= third]
            late = [size for at, size in self._samples[kind] if at >= 2 * third]
            name, goal = f"memory of {kind}", f"≤ {GROWTH - 1:.0%} more"
            goal = f"{goal}, in a longer run" if short else goal
            if min(len(early), len(late)) < LEAST:
                yield name, f"too few samples: {len(early)} and {len(late)}", goal, short
                continue
            before, after = statistics.median(early), statistics.median(late)
            told = f"{before / 1e6:.0f} → {after / 1e6:.0f} MB ({after / before - 1:+.1%})"
            yield name, told, goal, short or after <= before * GROWTH
