"""What a container is, without a daemon: namespaces of the kernel, as docker-compose.yml asks.

A box sees the machine's files read-only, a /tmp of its own and one folder that it was given; it
runs as nobody in particular, with no capability and no way to get one, in a network of the test's
own where every service goes by its name. Needs root, or a kernel that lets anybody make namespaces.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from speedtrade.datafolder import PROJECT
from speedtrade.embedded import die_with_parent

UID = "10001"  # as the Dockerfile's
GIVEN = "/mnt"  # where a box finds the folder that it was given
#: $1 the given folder, $2 that of hosts and passwd, up to `--` pairs of a closed folder and what
#: must be reached below it, then the command.
_ENTER = f"""
set -e
mount --bind "$1" {GIVEN}
mount --bind "$2/hosts" /etc/hosts
mount --bind "$2/passwd" /etc/passwd
shift 2
mount -t tmpfs -o mode=1777 none /tmp
while [ "$1" != -- ]; do
    closed="$1" target="$2"
    shift 2
    mkdir /tmp/kept
    mount --rbind "$target" /tmp/kept
    mount -t tmpfs -o mode=0755 none "$closed"
    mkdir -p "$target"
    mount --move /tmp/kept "$target"
    rmdir /tmp/kept
done
shift
mount --rbind "$PWD" "$PWD"
mount -o remount,bind,ro "$PWD"
mount -o remount,bind,ro /
cd "$PWD"
"""
#: A new network is down. Interface flags by ioctl(2), for `ip` is not on every machine.
_LOOPBACK = """
import fcntl, socket, struct, sys
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
fcntl.ioctl(socket.socket(), SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
print("up", flush=True)
sys.stdin.read()
"""


class Boxes:
    """A network, and the boxes in it by name; `<folder>/<name>.log` has the words of each."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder = folder
        (folder / "hosts").write_text(f"127.0.0.1 localhost {' '.join(names)}\n")
        user = f"speedtrade:x:{UID}:{UID}::/nonexistent:/usr/sbin/nologin\n"
        (folder / "passwd").write_text(Path("/etc/passwd").read_text() + user)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._root = os.geteuid() == 0
        new = [] if self._root else ["--user", "--map-root-user"]
        self._holder = subprocess.Popen(
            ["unshare", *new, "--net", sys.executable, "-c", _LOOPBACK],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
        assert self._holder.stdout and self._holder.stdout.readline() == b"up\n"

    def start(
        self, name: str, command: Sequence[str], given: Path, environment: Mapping[str, str]
    ) -> "subprocess.Popen[bytes]":
        """Run it in a box that finds the folder `given` at GIVEN."""
        script = _ENTER + f'exec {" ".join(self._unprivileged())} "$@"'
        closed = [str(part) for pair in _closed_above() for part in pair]
        enter = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
        with self._log(name).open("ab") as log:
            self.running[name] = subprocess.Popen(
                [
                    *self._into("--net"),
                    *enter,
                    str(given),
                    str(self.folder),
                    *closed,
                    "--",
                    *command,
                ],
                cwd=PROJECT,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
        return self.running[name]

    def within(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], seconds: float
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command in the box of what runs there, as `docker exec` does."""
        target = str(self.running[name].pid)
        enter = ["nsenter", "--target", target, "--mount", "--wd"]
        return subprocess.run(
            [*self._into("--net"), *enter, *self._unprivileged(), *command],
            env=dict(environment),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def _into(self, *kinds: str) -> list[str]:
        user = [] if self._root else ["--user", "--preserve-credentials"]
        return ["nsenter", "--target", str(self._holder.pid), *user, *kinds]

    def _unprivileged(self) -> list[str]:
        caps = ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
        if self._root:
            return ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", *caps]
        return ["unshare", "--user", f"--map-user={UID}", f"--map-group={UID}", "setpriv", *caps]

    def words(self, name: str) -> str:
        """The end of what it said, for the message of a test that failed."""
        return f"-- {name}\n{self._log(name).read_text(errors='replace')[-2000:]}"

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def end(self) -> None:
        for process in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._holder.kill()
        self._holder.wait()


def _closed_above() -> Iterator[tuple[Path, Path]]:
    """(a folder that lets nobody through, what must be reached below it)."""
    for target in {PROJECT, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()}:
        for parent in reversed(target.parents):
            if not parent.stat().st_mode & 0o001:
                yield parent, target
                break
