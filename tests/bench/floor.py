"""pgbench as the floor of an order: the same rows in the same server, and nothing around them."""

import os
import shutil
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg

from speedtrade.datafolder import PROJECT
from tests.bench.stack import CLIENT

ACCOUNTS = 10_000  # the script says it too
DATABASE = "bench_floor"
#: Where `make bench` unpacks Debian's packages when no pgbench is installed; no server is started.
OWN = PROJECT / ".venv" / "pgbench"
#: What an order is at least: an account that is locked, an order with the indexes and the foreign
#: keys of ours, two rows of a ledger, a balance.
SCHEMA = """
CREATE TABLE account (id bigint PRIMARY KEY, balance numeric(28,8) NOT NULL,
                      reserved numeric(28,8) NOT NULL DEFAULT 0);
CREATE TABLE orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account_id bigint NOT NULL REFERENCES account DEFERRABLE INITIALLY DEFERRED,
  placed_by bigint NOT NULL REFERENCES account DEFERRABLE INITIALLY DEFERRED,
  client_order_id varchar(128) NOT NULL, intent_key varchar(255) NOT NULL, side varchar(4) NOT NULL,
  qty numeric(28,10), limit_price numeric(20,10), state varchar(16) NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now());
CREATE UNIQUE INDEX ON orders (account_id, client_order_id);
CREATE UNIQUE INDEX ON orders (placed_by, intent_key);
CREATE INDEX ON orders (account_id, created_at DESC, id DESC);
CREATE INDEX ON orders (account_id, side) WHERE state = 'pending';
CREATE INDEX ON orders (placed_by);
CREATE TABLE ledger (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account_id bigint NOT NULL REFERENCES account DEFERRABLE INITIALLY DEFERRED,
  amount numeric(28,8) NOT NULL, at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON ledger (account_id, at);
"""
#: Six round trips.
SCRIPT = """
\\set aid random(1, 10000)
\\set key random(1, 9000000000000000)
BEGIN;
SELECT balance, reserved FROM account WHERE id = :aid FOR NO KEY UPDATE;
INSERT INTO orders
  (account_id, placed_by, client_order_id, intent_key, side, qty, limit_price, state) VALUES
  (:aid, :aid, md5(:key::text), md5(:key::text), 'buy', 1, 90.00, 'pending');
INSERT INTO ledger (account_id, amount) VALUES (:aid, 90), (:aid, -90);
UPDATE account SET reserved = reserved + 0.01 WHERE id = :aid;
COMMIT;
"""


@dataclass(frozen=True, slots=True)
class Floor:
    """Median latency in seconds, and transactions a second."""

    p50: float
    tps: float


class PgBench:
    """The tables, made once, and runs of the program against them."""

    def __init__(self, database_url: str, folder: Path) -> None:
        installed = shutil.which("pgbench")
        found = (
            [Path(installed)] if installed else sorted(OWN.glob("usr/lib/postgresql/*/bin/pgbench"))
        )
        if not found:
            raise RuntimeError("pgbench is missing: `make bench` brings it")
        self._program = found[0]
        self._host = unquote(urlsplit(database_url).hostname or "")
        self._user = urlsplit(database_url).username or ""
        self._folder = folder / "pgbench"
        self._folder.mkdir()
        (self._folder / "order.sql").write_text(SCRIPT)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}")
        where = f"host={self._host} user={self._user} dbname={DATABASE}"
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(SCHEMA)
            fill = "INSERT INTO account SELECT n, 100000 FROM generate_series(1, %s) n"
            connection.execute(fill, [ACCOUNTS])
            connection.execute("VACUUM ANALYZE")

    def run(self, clients: int, seconds: int) -> Floor:
        """So many clients for so long, with prepared statements."""
        for old in self._folder.glob("log.*"):
            old.unlink()
        command = [str(self._program), "-h", self._host, "-U", self._user, "-n", "-M", "prepared"]
        command += ["-c", str(clients), "-j", "1", "-T", str(seconds), "-f", "order.sql", "-l"]
        environment = {**os.environ, "PGOPTIONS": ""}
        if OWN in self._program.parents:  # unpacked, not installed: its libpq is beside it
            environment["LD_LIBRARY_PATH"] = str(next((OWN / "usr/lib").glob("*-linux-gnu")))
        subprocess.run(
            [*command, "--log-prefix=log", DATABASE],
            cwd=self._folder,
            env=environment,
            check=True,
            capture_output=True,
            preexec_fn=lambda: os.sched_setaffinity(0, CLIENT),
        )
        lines = [
            line for log in self._folder.glob("log.*") for line in log.read_text().splitlines()
        ]
        times = [int(line.split()[2]) / 1e6 for line in lines]
        return Floor(statistics.median(times), len(times) / seconds)
