"""The restore drill: a backup comes back whole in another cluster, or not at all."""

import json
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.services.audit import audit_record
from portfolio.models import Transfer
from portfolio.services.rebuild import ledger_differences
from speedtrade.backups import making, programs, restoring
from speedtrade.backups.facts import Facts, facts_read
from speedtrade.backups.making import backup_make, backups_in, last_backup
from speedtrade.backups.programs import BackupError, program
from speedtrade.backups.restoring import restore
from speedtrade.embedded import EmbeddedPostgres
from speedtrade.lib.lease import ASIDE, Lease
from speedtrade.testing import states
from speedtrade.testing.lives import D
from speedtrade.testing.restores import emptied, house_connection

pytestmark = [pytest.mark.serial, pytest.mark.django_db(transaction=True)]
MINUTES = 30  # R14


@pytest.fixture
def books(transactional_db: None) -> None:
    """Orders in every state, money that moved, accounts at a broker with keys: by the services."""
    now = timezone.now()
    states.books_make(now)
    assert Transfer.objects.count() > 5
    assert list(ledger_differences()) == []


@pytest.fixture(scope="module")
def other_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a new PostgreSQL, which knows nothing."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("elsewhere"), durable=False)
    server.start()
    yield server.url()
    server.stop()


@pytest.fixture
def elsewhere(other_cluster: str) -> str:
    """It, empty again."""
    return emptied(other_cluster)


@pytest.fixture
def made(books: None, tmp_path: Path) -> Path:
    return backup_make(folder=tmp_path / "kept", now=timezone.now()).path


def rows(address: str, query: Any) -> list[Any]:
    with psycopg.connect(address) as connection:
        return connection.execute(query).fetchall()


def tables(address: str) -> list[Any]:
    return rows(address, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")


@pytest.mark.fault("F32")
def test_a_backup_comes_back_in_a_new_cluster_with_clean_and_equal_books(
    made: Path, elsewhere: str
) -> None:
    done = restore(file=made, into=elsewhere)
    print(f"R14: {done.rows} rows came back, proved, in {done.took.total_seconds():.1f} s")
    assert done.took < timedelta(minutes=MINUTES)
    assert done.ledger == json.loads(made.with_suffix(".json").read_text())["ledger"]
    assert done.rows > 100
    check = "SELECT differences FROM portfolio_ledgercheck ORDER BY id DESC LIMIT 1"
    assert rows(elsewhere, check) == [(0,)]
    for table in ("portfolio_transfer", "portfolio_journalentry", "accounts_auditevent"):
        with psycopg.connect(elsewhere) as connection, pytest.raises(psycopg.IntegrityError):
            connection.execute(f"DELETE FROM {table}")  # type: ignore[arg-type] # noqa: S608
    # And where it came back, it can be backed up over again.
    again = restore(file=made, into=elsewhere, replace=True)
    assert again.ledger == done.ledger
    found = rows(elsewhere, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'speedtrade%'")
    assert found == []


@pytest.mark.fault("F32")
@pytest.mark.parametrize("wrong", ["cut", "one bit", "no manifest", "half a manifest"])
def test_a_backup_that_is_not_what_was_written_is_refused_before_anything_is_written(
    made: Path, elsewhere: str, wrong: str
) -> None:
    content, manifest = bytearray(made.read_bytes()), made.with_suffix(".json")
    if wrong == "cut":
        made.write_bytes(content[:-100])
    elif wrong == "one bit":
        content[len(content) // 2] ^= 1
        made.write_bytes(content)
    elif wrong == "no manifest":
        manifest.unlink()
    else:
        manifest.write_text(manifest.read_text()[:-20])
    with pytest.raises(BackupError, match=r"SHA-256|must lie there"):
        restore(file=made, into=elsewhere)
    assert tables(elsewhere) == []


def test_a_dump_whose_books_are_others_than_its_manifest_says_is_taken_back(
    made: Path, elsewhere: str
) -> None:
    """What was there before comes back: here one table."""
    path = made.with_suffix(".json")
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "ledger": "0" * 64}))
    with psycopg.connect(elsewhere) as connection:
        connection.execute("CREATE TABLE former (id int)")
    with pytest.raises(BackupError, match="books that came back"):
        restore(file=made, into=elsewhere, replace=True)
    assert tables(elsewhere) == [("former",)]
    missing = {**manifest["rows"], "trading_order": manifest["rows"]["trading_order"] + 1}
    older = {**manifest["migrations"], "trading": "0001_initial"}
    for others in ({"rows": missing}, {"migrations": older}):
        path.write_text(json.dumps({**manifest, **others}))
        with pytest.raises(BackupError, match="Not every row"):
            restore(file=made, into=elsewhere, replace=True)
        assert tables(elsewhere) == [("former",)]


def broken_off(made: Path, into: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restore with --replace whose machine dies between moving aside and the proof."""

    def died(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
        dying.setattr(restoring, "_prove", died)
        dying.setattr(restoring, "_move_back", lambda connection: None)
        restore(file=made, into=into, replace=True)


def facts(address: str) -> Facts:
    with psycopg.connect(address) as connection:
        return facts_read(connection)


@pytest.mark.fault("F32")
def test_what_a_target_held_outlives_a_restore_that_is_broken_off(
    made: Path, elsewhere: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fails where the second run begins by making room: the only copy is what it would drop."""
    restore(file=made, into=elsewhere)
    with psycopg.connect(elsewhere) as connection:
        connection.execute("CREATE TABLE public.since AS SELECT 7 AS id")
    held = facts(elsewhere)
    broken_off(made, elsewhere, monkeypatch)
    assert "since" not in facts(elsewhere).rows
    for replace in (False, True):
        with pytest.raises(BackupError, match=f"lies in the schema {ASIDE}.*--put-back"):
            restore(file=made, into=elsewhere, replace=replace)
    monkeypatch.setenv("RESTORE_INTO", elsewhere)
    with psycopg.connect(elsewhere), pytest.raises(CommandError, match="1 others are connected"):
        call_command("restore", put_back=True, into_env="RESTORE_INTO", replace=True)
    with pytest.raises(CommandError, match="stand in its place"):
        call_command("restore", put_back=True, into_env="RESTORE_INTO")
    call_command("restore", put_back=True, into_env="RESTORE_INTO", replace=True)
    assert facts(elsewhere) == held
    assert rows(elsewhere, "SELECT id FROM since") == [(7,)]
    with pytest.raises(CommandError, match="Nothing was kept"):
        call_command("restore", put_back=True, into_env="RESTORE_INTO", replace=True)
    assert "is back in its place" in capsys.readouterr().out


def test_what_was_kept_is_dropped_on_purpose_alone(
    made: Path, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(elsewhere) as connection:
        connection.execute("CREATE TABLE former (id int)")
    broken_off(made, elsewhere, monkeypatch)
    stands = facts(elsewhere)
    with pytest.raises(CommandError, match="Name the file"):
        call_command("restore", made, into=elsewhere, drop_kept=True)
    call_command("restore", into=elsewhere, drop_kept=True)
    assert facts(elsewhere).ledger == stands.ledger
    assert "former" not in facts(elsewhere).rows
    halted = "SELECT count(*) FROM trading_tradinghalt WHERE lifted_at IS NULL"
    assert rows(elsewhere, halted) == [(1,)]  # what waited at the backup was set aside
    with pytest.raises(CommandError, match="Nothing was kept"):
        call_command("restore", into=elsewhere, drop_kept=True)


def test_the_role_of_the_processes_reads_what_came_back(made: Path, elsewhere: str) -> None:
    """Fails where the new schema lets in nobody but its owner."""
    with psycopg.connect(elsewhere, user="postgres") as connection:
        connection.execute("CREATE ROLE app_of_test")
    with psycopg.connect(elsewhere) as connection:
        connection.execute("GRANT USAGE ON SCHEMA public TO app_of_test")
        connection.execute("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO app_of_test")
        connection.execute("CREATE TABLE former (id int)")
    try:
        restore(file=made, into=elsewhere, replace=True)
        with psycopg.connect(elsewhere, user="postgres") as connection:
            connection.execute("SET ROLE app_of_test")
            found = connection.execute("SELECT count(*) FROM trading_order").fetchone()
        assert found is not None and found[0] > 0
    finally:
        with psycopg.connect(elsewhere, user="postgres") as connection:
            connection.execute("DROP OWNED BY app_of_test")
            connection.execute("DROP ROLE app_of_test")


@pytest.mark.fault("F32")
def test_nobody_of_the_house_gets_into_a_target_while_it_is_restored(
    made: Path, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails where it is looked once who is there: a writer that starts meanwhile gets in."""
    late, tried = house_connection(elsewhere), []
    prove = restoring._prove

    def meanwhile(into: str) -> None:
        with pytest.raises(OperationalError, match="A restore works on this database"):
            late.ensure_connection()
        assert late.connection is None
        with pytest.raises(BackupError, match="Another restore works on the target"):
            restore(file=made, into=into, replace=True)
        tried.append(into)
        prove(into)  # its own commands are let in

    monkeypatch.setattr(restoring, "_prove", meanwhile)
    restore(file=made, into=elsewhere)
    assert tried == [elsewhere]
    late.ensure_connection()
    try:
        with pytest.raises(BackupError, match="1 others are connected"):
            restore(file=made, into=elsewhere, replace=True)
    finally:
        late.close()


def test_the_role_of_the_processes_gets_its_rows_back_and_not_the_right_to_change_history(
    made: Path, elsewhere: str, settings: Any
) -> None:
    settings.DATABASE_APP_ROLE = "rows_back_of_test"
    with pytest.raises(BackupError, match="does not exist"):  # asked before anything is done
        restore(file=made, into=elsewhere)
    with psycopg.connect(elsewhere, user="postgres") as connection:
        connection.execute("CREATE ROLE rows_back_of_test")
    try:
        restore(file=made, into=elsewhere)
        with psycopg.connect(elsewhere, user="postgres", autocommit=True) as connection:
            connection.execute("SET ROLE rows_back_of_test")
            connection.execute("UPDATE trading_order SET updated_at = updated_at")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("DELETE FROM portfolio_transfer")
    finally:
        with psycopg.connect(elsewhere, user="postgres") as connection:
            connection.execute("DROP OWNED BY rows_back_of_test")
            connection.execute("DROP ROLE rows_back_of_test")


def test_a_target_that_holds_something_or_is_in_use_is_left_alone(
    made: Path, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(elsewhere) as connection:
        connection.execute("CREATE TABLE former (id int)")
    with pytest.raises(BackupError, match="not empty"):
        restore(file=made, into=elsewhere)
    with (
        psycopg.connect(elsewhere),
        pytest.raises(BackupError, match="1 others are connected"),
    ):
        restore(file=made, into=elsewhere, replace=True)
    with (
        psycopg.connect(elsewhere, user="postgres"),  # another role, such as the processes' own
        pytest.raises(BackupError, match="1 others are connected"),
    ):
        restore(file=made, into=elsewhere, replace=True)
    with psycopg.connect(elsewhere, autocommit=True) as connection:
        key = Lease("venue")._key
        connection.execute("SELECT pg_try_advisory_lock(%s)", [key])
        with pytest.raises(BackupError, match="venue run on the target"):
            restore(file=made, into=elsewhere, replace=True)
    assert tables(elsewhere) == [("former",)]


def test_books_that_do_not_add_up_are_no_restore(books: None, tmp_path: Path, elsewhere: str):
    """The ledger check has the last word: a backup of wrong books says so when it comes back."""
    from portfolio.models import Position

    row = Position.objects.latest("id")
    Position.objects.filter(pk=row.pk).update(cost_basis=row.cost_basis + D("0.01"))
    made = backup_make(folder=tmp_path / "kept", now=timezone.now()).path
    with pytest.raises(BackupError, match="ledger check found differences"):
        restore(file=made, into=elsewhere)


def test_a_backup_of_newer_code_is_refused(made: Path, elsewhere: str) -> None:
    path = made.with_suffix(".json")
    manifest = json.loads(path.read_text())
    manifest["migrations"]["trading"] = "9999_from_the_future"
    path.write_text(json.dumps(manifest))
    with pytest.raises(BackupError, match=r"newer code \(trading\)"):
        restore(file=made, into=elsewhere)


def test_a_backup_is_of_one_moment(
    books: None, tmp_path: Path, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails where the dump has a snapshot of its own: it holds what the manifest does not."""
    run = making.run

    def meanwhile(*arguments: Any) -> None:
        audit_record(actor=None, action="meanwhile", target="", data={}, now=timezone.now())
        run(*arguments)

    monkeypatch.setattr(making, "run", meanwhile)
    made = backup_make(folder=tmp_path / "kept", now=timezone.now())
    assert AuditEvent.objects.filter(action="meanwhile").exists()
    restore(file=made.path, into=elsewhere)


def test_backups_are_private_counted_and_told(books: None, tmp_path: Path) -> None:
    now = timezone.now().replace(microsecond=0)
    assert last_backup(now) is None
    for days in (3, 2, 1, 0):
        backup_make(folder=tmp_path, keep=2, now=now - timedelta(days=days))
    kept = backups_in(tmp_path)
    assert [path.name for path in kept] == [
        f"speedtrade-{now - timedelta(days=days):%Y%m%dT%H%M%SZ}.dump" for days in (0, 1)
    ]
    assert sorted(tmp_path.iterdir()) == sorted(
        [*kept, *(path.with_suffix(".json") for path in kept)]
    )
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert last_backup(now) == now
    assert AuditEvent.objects.filter(action=making.MADE).count() == 4


def test_a_backup_that_fails_leaves_nothing_and_is_not_told(
    books: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "program", lambda name, server: "/bin/false")
    with pytest.raises(CommandError, match="gave up"):
        call_command("backup", to=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert last_backup(timezone.now()) is None


def test_a_program_that_is_too_old_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "pg_dump" in program("pg_dump", 18)
    with pytest.raises(BackupError, match=r"PostgreSQL 99 .* of 18.*postgresql-client-99"):
        program("pg_dump", 99)
    monkeypatch.setattr(programs, "_candidates", lambda name: [])
    with pytest.raises(BackupError, match="none here"):
        program("pg_dump", 18)


def test_the_program_nearest_to_the_server_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails where the first one will do: 18 tells a server of 15 what it does not know."""
    paths = {}
    for version in ("18.1", "15.14", "14.9", "17.2"):
        path = paths[version] = tmp_path / version
        path.write_text(f"#!/bin/sh\necho 'pg_restore (PostgreSQL) {version}'\n")
        path.chmod(0o700)
    monkeypatch.setattr(programs, "_candidates", lambda name: list(map(str, paths.values())))
    for server, expected in ((15, "15.14"), (16, "17.2"), (18, "18.1")):
        assert program("pg_restore", server) == str(paths[expected])


def test_the_two_commands_say_what_they_did(
    books: None, tmp_path: Path, elsewhere: str, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("backup", to=tmp_path)
    first, second = capsys.readouterr().out.splitlines()
    file = first.partition(": ")[0]
    call_command("restore", file, into=elsewhere)
    said = capsys.readouterr().out
    assert second.split()[1] in said and "the books are clean" in said
    with pytest.raises(CommandError, match="not empty"):
        call_command("restore", file, into=elsewhere)
    with pytest.raises(CommandError, match="postgresql://"):
        call_command("restore", file, into="sqlite:///x")
    with pytest.raises(CommandError, match="RESTORE_INTO is not set"):
        call_command("restore", file, into_env="RESTORE_INTO")
    with pytest.raises(CommandError, match="at least 1"):
        call_command("backup", to=tmp_path, keep=0)
