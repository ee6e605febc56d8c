"""What a restore does when it loses its hold on the target, and what stops it before it begins."""

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections
from django.utils import timezone

from speedtrade.backups import restoring
from speedtrade.backups.holding import held
from speedtrade.backups.making import backup_make, file_hash
from speedtrade.backups.programs import BackupError, where_of
from speedtrade.backups.restoring import restore
from speedtrade.embedded import EmbeddedPostgres
from speedtrade.lib.lease import ASIDE
from speedtrade.testing.restores import emptied, house_connection

pytestmark = [pytest.mark.serial, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("held"), durable=False)
    server.start()
    yield server.url()
    server.stop()


@pytest.fixture
def target(cluster: str) -> str:
    """The address of an empty database."""
    return emptied(cluster)


@pytest.fixture
def made(transactional_db: None, tmp_path: Path) -> Path:
    return backup_make(folder=tmp_path / "kept", now=timezone.now()).path


@pytest.fixture
def hold_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server ends the session that keeps the house out, when all but the proof is done."""

    def cut(into: str) -> None:
        with psycopg.connect(into, user="postgres") as connection:
            ended = connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND usesysid IS NOT NULL"
            ).fetchall()
        assert ended == [(True,)]

    monkeypatch.setattr(restoring, "_prove", cut)


def tables(address: str, schema: str) -> list[str]:
    with psycopg.connect(address) as connection:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = %s"
        return [name for (name,) in connection.execute(query, [schema]).fetchall()]


def test_a_restore_that_lost_its_hold_is_not_called_done(
    made: Path, target: str, hold_lost: None
) -> None:
    with pytest.raises(BackupError, match="--put-back"):
        restore(file=made, into=target)


def test_where_the_hold_was_lost_nothing_is_dropped(
    made: Path, target: str, hold_lost: None
) -> None:
    """Fails where what stands there is dropped, though somebody may have written into it."""
    with psycopg.connect(target) as connection:
        connection.execute("CREATE TABLE former (id int)")
    with pytest.raises(BackupError, match="--put-back"):
        restore(file=made, into=target, replace=True)
    assert tables(target, ASIDE) == ["former"]
    assert "trading_order" in tables(target, "public")


def test_a_server_that_is_older_than_the_backup_is_left_alone(made: Path, target: str) -> None:
    path = made.with_suffix(".json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "postgres": 99}))
    with pytest.raises(BackupError, match="The backup is of PostgreSQL 99, the target is 18"):
        restore(file=made, into=target)
    assert tables(target, "public") == []


def test_a_manifest_that_does_not_say_all_is_refused_before_anything_is_moved(
    made: Path, target: str
) -> None:
    """Fails where what is missing is met later, and without words."""
    path = made.with_suffix(".json")
    manifest = json.loads(path.read_text())
    wrong: list[Any] = [[manifest], None, "a", {**manifest, "migrations": {"trading": 7}}]
    for name in ("sha256", "postgres", "rows", "ledger", "migrations"):
        wrong.append({said: value for said, value in manifest.items() if said != name})
        wrong.append({**manifest, name: [1]})
    with psycopg.connect(target) as connection:
        connection.execute("CREATE TABLE former (id int)")
    for said in wrong:
        path.write_text(json.dumps(said))
        with pytest.raises(BackupError, match="must lie there, whole"):
            restore(file=made, into=target, replace=True)
        assert tables(target, "public") == ["former"]


def test_a_dump_that_the_program_cannot_read_is_no_restore(made: Path, target: str) -> None:
    """Though its manifest was written for it: the program's own word counts."""
    made.write_bytes(made.read_bytes()[:-2000])
    path = made.with_suffix(".json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "sha256": file_hash(made)}))
    with pytest.raises(BackupError, match="pg_restore gave up"):
        restore(file=made, into=target)
    assert tables(target, "public") == []


@pytest.fixture
def nobody_may_halt(transactional_db: None) -> Iterator[None]:
    """Trading cannot be halted here, nor where it is restored."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION no_halt() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN RAISE EXCEPTION 'no halt of test'; END$$;"
            "CREATE TRIGGER no_halt BEFORE INSERT ON trading_tradinghalt"
            " FOR EACH ROW EXECUTE FUNCTION no_halt()"
        )
    yield
    with connections["default"].cursor() as cursor:
        cursor.execute("DROP FUNCTION no_halt() CASCADE")


def test_where_what_waited_cannot_be_set_aside_the_restore_is_taken_back(
    nobody_may_halt: None, made: Path, target: str
) -> None:
    """Fails where the end of `settle_restored` is not looked at: orders would leave once more."""
    with pytest.raises(BackupError, match=r"could not be set aside: .*no halt of test"):
        restore(file=made, into=target)
    assert tables(target, "public") == []


def test_prepare_asks_for_the_role_before_it_migrates(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails where it asks afterwards: the release of before would stand on tables of this one."""
    from speedtrade.management.commands import prepare

    called: list[str] = []
    monkeypatch.setattr(prepare, "call_command", lambda name, **_: called.append(name))
    settings.DATABASE_APP_ROLE = "nobody_of_test"
    with pytest.raises(CommandError, match="must be there"):
        call_command("prepare", verbosity=0, stdout=StringIO())
    assert called == []


def died(*args: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("before", ["_put", "_prove"])
def test_nobody_of_the_house_gets_into_what_a_dead_restore_left(
    made: Path, target: str, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    """Fails where the session's lock is all that keeps it out: it goes with the machine."""
    house = house_connection(target)
    with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
        dying.setattr(restoring, before, died)
        dying.setattr(restoring, "_undo", died)
        restore(file=made, into=target)
    with pytest.raises(OperationalError, match="was broken off"):
        house.ensure_connection()
    if before == "_put":  # there are no books that could be proved
        with pytest.raises(BackupError, match="older than this code"):
            restoring.kept_drop(into=target)
        restoring.put_back(into=target)
        assert tables(target, "public") == []
        restore(file=made, into=target)
    else:
        restoring.kept_drop(into=target)
    house.ensure_connection()
    house.close()


def test_what_was_empty_is_empty_again_where_a_proof_fails(
    made: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And lets in again who was let in."""
    with psycopg.connect(target) as connection:
        connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
    path = made.with_suffix(".json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "ledger": "0" * 64}))
    with pytest.raises(BackupError, match="books that came back"):
        restore(file=made, into=target)
    assert tables(target, "public") == []
    with psycopg.connect(target) as connection:
        query = "SELECT nspacl::text FROM pg_namespace WHERE nspname IN ('public', %s)"
        (granted,) = connection.execute(query, [ASIDE]).fetchall()
    assert "=U/" in granted[0]


def test_the_role_gets_its_rows_where_a_dead_restore_is_kept(
    made: Path, target: str, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.DATABASE_APP_ROLE = "kept_of_test"
    with psycopg.connect(target, user="postgres") as connection:
        connection.execute("CREATE ROLE kept_of_test")
    try:
        with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
            dying.setattr(restoring, "_prove", died)
            dying.setattr(restoring, "_undo", died)
            restore(file=made, into=target)
        restoring.kept_drop(into=target)
        with psycopg.connect(target, user="postgres") as connection:
            connection.execute("SET ROLE kept_of_test")
            connection.execute("SELECT count(*) FROM trading_order")
    finally:
        with psycopg.connect(target, user="postgres") as connection:
            connection.execute("DROP OWNED BY kept_of_test")
            connection.execute("DROP ROLE kept_of_test")


def test_what_is_kept_stays_where_the_role_cannot_be_given_its_rows(
    made: Path, target: str, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """And it is said in words, before the long proof."""
    with psycopg.connect(target) as connection:
        connection.execute("CREATE TABLE former (id int)")
    with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
        dying.setattr(restoring, "_prove", died)
        dying.setattr(restoring, "_undo", died)
        restore(file=made, into=target, replace=True)
    settings.DATABASE_APP_ROLE = "nobody_of_test"
    monkeypatch.setattr(restoring, "_prove", lambda into: pytest.fail("It was proved first."))
    with pytest.raises(CommandError, match='DATABASE_APP_ROLE: role "nobody_of_test" does not'):
        call_command("restore", into=target, drop_kept=True)
    assert tables(target, ASIDE) == ["former"]


def test_no_backup_is_made_of_what_is_not_proved(transactional_db: None, tmp_path: Path) -> None:
    """Fails where it is dumped like any other: with --keep it would push out one that is whole."""
    where = where_of(connections["default"].get_connection_params())
    with held(where), pytest.raises(CommandError, match="A restore works on"):
        call_command("backup", to=tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []
