"""The data folder of a zero-config run: its lock, its secrets, and the addresses while it runs.

Imports nothing of Django, because the supervisor and the test session need it before settings load.
Text files here are JSON, mode 0600: `secrets.json` (written once), `runtime.json` (while running),
`lock` (who runs; the flock on it is the truth, the text only words for the next person).
"""

import fcntl
import json
import os
import secrets
import tempfile
import tomllib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from speedtrade.env import env_str, read_json

PROJECT = Path(__file__).resolve().parent.parent
DEMO_LOGIN = "demo"


class CannotStart(Exception):
    """Why this run cannot begin or go on, in one sentence for a person."""


def project_version() -> str:
    """The version of the code that runs."""
    content = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    return str(content["project"]["version"])


def data_folder() -> Path:
    """`SPEEDTRADE_DATA_DIR`, else `.data` in the project, made when missing; raises CannotStart."""
    folder = Path(env_str("SPEEDTRADE_DATA_DIR", str(PROJECT / ".data"))).expanduser().resolve()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A write is the only honest question: access(2) says yes to root on a read-only disk.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CannotStart(
            f"The data folder {folder} cannot be written ({error.strerror}); "
            "choose another with SPEEDTRADE_DATA_DIR."
        ) from error
    return folder


def write_private(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON that only its owner reads, whole or not at all, also when killed half-way."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def secrets_ensure(folder: Path) -> Mapping[str, str]:
    """The secrets of this folder, each made once at random and kept: losing one loses data.

    SECRET_KEY, JWT_SIGNING_KEY, FIELD_KEYS (a Fernet key), DEMO_PASSWORD, VALKEY_PASSWORD.
    """
    path = folder / "secrets.json"
    known = dict(read_json(path))
    wanted = {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "JWT_SIGNING_KEY": secrets.token_urlsafe(48),
        "FIELD_KEYS": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "DEMO_PASSWORD": f"paper-{secrets.token_hex(6)}",
        "VALKEY_PASSWORD": secrets.token_urlsafe(32),
    }
    if missing := wanted.keys() - known.keys():
        known |= {name: wanted[name] for name in missing}
        write_private(path, known)
    return known


class FolderLock:
    """One running copy per data folder; the kernel frees the lock however its holder dies."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lock"
        self._descriptor: int | None = None

    def take(self, address: str) -> None:
        """Hold the folder for this process; raises CannotStart naming who holds it already."""
        # Never inherited by a child (PEP 446), or a child that lingers would hold the folder.
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "starting"
            os.close(descriptor)
            raise CannotStart(
                f"Another copy is running on the data folder {self.path.parent} ({holder})."
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"pid {os.getpid()}, {address}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
