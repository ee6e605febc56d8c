"""deploy/postgresql/app-role.sql as operators run it: by psql, and then the house as that role."""

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
import time_machine
from django.core.management import call_command
from django.db import connection

from accounts.services.audit import audit_record
from portfolio.services.rebuild import ledger_differences
from speedtrade.datafolder import PROJECT
from speedtrade.embedded import EmbeddedPostgres
from speedtrade.lib.triggers import APPEND_ONLY
from speedtrade.testing.cast import PASSWORD, ApiClient, account_of, make_user, page_client
from trading.models import Fill
from trading.tests.desk import Desk

pytestmark = pytest.mark.serial
FILE = PROJECT / "deploy" / "postgresql" / "app-role.sql"
ROLE = "speedtrade_app"
SECRET = 'it\'s "odd" \\ $1 :password'
NOON = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
PAGES = ("/dashboard", "/markets/AAPL", "/orders", "/portfolio", "/activity", "/settings")


def psql_run(where: dict[str, Any], password: str | None = SECRET) -> int:
    """The file, as the image of PostgreSQL runs what lies in its folder; psql's exit code."""
    secret = {} if password is None else {"POSTGRES_APP_PASSWORD": password}
    folder = EmbeddedPostgres(Path(os.devnull)).bin
    flags = ["-v", "ON_ERROR_STOP=1", "--no-password", "--no-psqlrc", "--username", "postgres"]
    there = ["--host", where["host"], "--port", str(where.get("port", 5432))]
    done = subprocess.run(
        [folder / "psql", *flags, *there, "--dbname", where["dbname"], "-f", FILE],
        env={"PATH": os.defpath, **secret},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode


# ── the role by itself, in a cluster that asks for passwords ────────────────
@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A new PostgreSQL where this role alone must say its password."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("roles"), durable=False)
    server.start()
    where = {"host": str(server.socket_folder), "dbname": "speedtrade"}
    rules = server.home / "pg_hba.conf"
    rules.write_text(f"local all {ROLE} scram-sha-256\n{rules.read_text()}")
    with psycopg.connect(**where, user="postgres") as asked:
        asked.execute("SELECT pg_reload_conf()")
    yield where
    server.stop()


def test_without_its_password_the_file_makes_no_role(cluster: dict[str, Any]) -> None:
    assert psql_run(cluster, None) != 0
    with psycopg.connect(**cluster, user="postgres") as asked:
        found = asked.execute("SELECT rolname FROM pg_roles WHERE rolname = %s", [ROLE]).fetchall()
    assert found == []


def test_the_role_logs_in_with_its_password_and_may_do_nothing_yet(cluster: dict[str, Any]) -> None:
    assert psql_run(cluster) == 0
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(**cluster, user=ROLE, password="another")
    with psycopg.connect(**cluster, user=ROLE, password=SECRET, autocommit=True) as role:
        rights = "rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
        mine = role.execute(f"SELECT {rights} FROM pg_roles WHERE rolname = current_user")  # noqa: S608 - our names
        assert mine.fetchone() == (False,) * 5
        for refused in (
            "CREATE TABLE mine (id int)",
            "CREATE ROLE friend",
            "SET session_replication_role = 'replica'",
            "SET ROLE postgres",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                role.execute(refused)
    assert psql_run(cluster) != 0  # said, and not passed over: it is there


# ── the house as that role ──────────────────────────────────────────────────
@pytest.fixture
def desk(transactional_db: None) -> Iterator[Desk]:
    """Alice at the paper venue, in a database that the owner has prepared for the role."""
    owner = connection.settings_dict["USER"]
    where = connection.get_connection_params()
    superuser = {name: where[name] for name in ("host", "port", "dbname") if name in where}
    with time_machine.travel(NOON, tick=False) as clock:
        alice = make_user("alice")
        audit_record(actor=alice, action="a", target="b", now=NOON)
        made = Desk(alice, account_of(alice), clock)
        made.quote("99.99", "100.00")
        assert psql_run(superuser) == 0
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("django.conf.settings.DATABASE_APP_ROLE", ROLE)
                call_command("prepare", verbosity=0, stdout=StringIO())
            connection.close()
            connection.settings_dict["USER"] = ROLE
            yield made
        finally:
            connection.close()
            connection.settings_dict["USER"] = owner
            with psycopg.connect(**superuser, user="postgres", autocommit=True) as asked:
                asked.execute(f"DROP OWNED BY {ROLE}")
                asked.execute(f"DROP ROLE {ROLE}")


def test_as_that_role_people_log_in_read_and_trade(desk: Desk) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, session_user")
        assert cursor.fetchone() == (ROLE, ROLE)
    web = page_client()
    assert web.post("/login", {"username": "alice", "password": PASSWORD}).status_code == 302
    assert [web.get(page).status_code for page in PAGES] == [200] * len(PAGES)

    api = ApiClient(desk.user)
    terms = {"symbol": "AAPL", "side": "buy", "order_type": "limit", "time_in_force": "gtc"}
    resting = api.post("orders", {**terms, "qty": "1", "limit_price": "90.00"})
    assert resting.status_code == 201, resting.content
    assert api("DELETE", f"orders/{resting.json()['id']}").status_code == 200
    assert desk.trade("buy", "2").status == "filled"  # by the worker and the venue
    assert desk.trade("sell", "1").status == "filled"
    assert api.get("portfolio").status_code == 200
    assert Fill.objects.count() == 2
    assert list(ledger_differences()) == []


def test_as_that_role_history_and_tables_stay_as_they_are(desk: Desk) -> None:
    desk.trade("buy", "2")
    where = connection.get_connection_params()
    where = {name: where[name] for name in ("host", "port", "dbname", "user") if name in where}
    changes = [f"UPDATE {table} SET id = id" for table in APPEND_ONLY]  # noqa: S608 - our names
    changes += [f"{verb} {table}" for verb in ("DELETE FROM", "TRUNCATE") for table in APPEND_ONLY]
    with psycopg.connect(**where, autocommit=True) as role:
        for refused in (
            *changes,
            "CREATE TABLE public.mine (id int)",
            "CREATE SCHEMA mine",
            "ALTER TABLE trading_order ADD COLUMN mine int",
            "ALTER TABLE portfolio_transfer DISABLE TRIGGER ALL",
            "CREATE OR REPLACE FUNCTION portfolio_transfer_append_only() RETURNS trigger"
            " LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            "DROP TABLE trading_order",
            "TRUNCATE trading_order",
            "SET session_replication_role = 'replica'",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                role.execute(refused)  # type: ignore[arg-type]
        assert role.execute("SELECT count(*) FROM trading_fill").fetchone() == (1,)
