"""The role of the processes reads and writes rows, adds to history, and can do no more."""

import os
from collections.abc import Iterator
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.conf import settings as house_settings
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from accounts.services.audit import audit_record
from speedtrade.doctor import servers
from speedtrade.doctor.verdicts import Verdict
from speedtrade.grants import SCHEMA_SHUT, everybody_creates, history_changeable, rows_grant
from speedtrade.lib.triggers import APPEND_ONLY
from speedtrade.testing import states

pytestmark = [pytest.mark.serial, pytest.mark.django_db(transaction=True)]
#: Roles are the cluster's, and each worker of the tests has a database in the same one.
ROLE = f"rows_of_test_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"


def as_superuser() -> "psycopg.Connection[Any]":
    from django.db import connections

    asked = connections["default"].get_connection_params()
    where = {name: asked[name] for name in ("host", "port", "dbname") if name in asked}
    return psycopg.connect(**where, user="postgres", autocommit=True)


@pytest.fixture
def as_role() -> Iterator["psycopg.Connection[Any]"]:
    """A connection of a role that has what `prepare` gave it."""
    with as_superuser() as connection:
        connection.execute(f"CREATE ROLE {ROLE}")
        # As who followed an older page of ours did: all that comes may be changed.
        connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {ROLE}")
        try:
            connection.execute(f"SET ROLE {ROLE}")
            yield connection
        finally:
            connection.execute("RESET ROLE")
            connection.execute(f"DROP OWNED BY {ROLE}")
            connection.execute(f"DROP ROLE {ROLE}")


def prepare(settings: Any, role: str = ROLE) -> str:
    settings.DATABASE_APP_ROLE = role
    out = StringIO()
    call_command("prepare", verbosity=0, stdout=out)
    return out.getvalue()


def test_it_writes_rows_adds_to_history_and_does_no_more(
    as_role: "psycopg.Connection[Any]", settings: Any
) -> None:
    states.books_make(timezone.now())
    audit_record(actor=None, action="a", target="b", now=timezone.now())
    assert history_changeable(as_role.cursor()) == sorted(APPEND_ONLY)
    assert f"{ROLE} may read and write rows" in prepare(settings)
    assert history_changeable(as_role.cursor()) == []
    as_role.execute("UPDATE trading_order SET updated_at = updated_at")
    as_role.execute("DELETE FROM django_session")
    as_role.execute(
        "INSERT INTO accounts_auditevent (action, target, reason, data, at, request_id)"
        " SELECT action, target, reason, data, at, request_id FROM accounts_auditevent LIMIT 1"
    )
    changes = [f"UPDATE {table} SET id = id" for table in APPEND_ONLY]  # noqa: S608 - our names
    changes += [f"{verb} {table}" for verb in ("DELETE FROM", "TRUNCATE") for table in APPEND_ONLY]
    for refused in (
        *changes,
        "CREATE TABLE public.mine (id int)",
        "ALTER TABLE accounts_auditevent DISABLE TRIGGER accounts_auditevent_append_only",
        "DROP TABLE accounts_auditevent",
        "TRUNCATE trading_order",
        "INSERT INTO django_migrations (app, name, applied) VALUES ('a', 'b', now())",
        "UPDATE django_migrations SET name = name",
        "DELETE FROM django_migrations",
        "SELECT setval(pg_get_serial_sequence('trading_order', 'id'), 1)",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_role.execute(refused)  # type: ignore[arg-type]
    as_role.execute("SELECT nextval(pg_get_serial_sequence('trading_order', 'id'))")
    assert prepare(settings)  # and again


@pytest.mark.parametrize("right", ["UPDATE", "UPDATE (action)", "DELETE", "TRUNCATE"])
def test_each_right_that_changes_history_is_seen_and_taken_away(
    as_role: "psycopg.Connection[Any]", settings: Any, right: str
) -> None:
    prepare(settings)
    with as_superuser() as superuser:
        superuser.execute(f"GRANT {right} ON accounts_auditevent TO {ROLE}")  # type: ignore[arg-type]
    assert history_changeable(as_role.cursor()) == ["accounts_auditevent"]
    prepare(settings)
    assert history_changeable(as_role.cursor()) == []


def test_it_needs_nothing_that_everybody_has(
    as_role: "psycopg.Connection[Any]", settings: Any
) -> None:
    """Where the schema was shut to all others, as guides for hardening say."""
    with as_superuser() as superuser:
        superuser.execute("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
        try:
            prepare(settings)
            as_role.execute("SELECT count(*) FROM public.trading_order")
        finally:
            superuser.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")


@pytest.mark.parametrize("who", ["nobody_of_test", "the owner"])
def test_rights_are_looked_at_before_any_is_taken(who: str) -> None:
    """Also where nobody has asked before: the owner would take their own and keep none."""
    role = house_settings.DATABASES["default"]["USER"] if who == "the owner" else who
    asked: list[str] = []

    def note(execute: Any, statement: Any, *given: Any) -> Any:
        asked.append(str(statement))
        return execute(statement, *given)

    refused = pytest.raises(OperationalError, match=r"owns the tables|does not exist")
    # Where it is not refused, the transaction gives back what was taken.
    with transaction.atomic(), connection.execute_wrapper(note), refused:
        rows_grant(connection.cursor(), role)
    assert len(asked) == 1 and asked[0].startswith("SELECT")


def test_the_doctor_tells_a_role_that_triggers_alone_keep_from_changing_history(
    as_role: "psycopg.Connection[Any]", settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked() -> Verdict:
        return servers.database_role(timezone.now())

    def ask(query: str) -> Any:
        return as_role.execute(query).fetchone()  # type: ignore[arg-type]

    monkeypatch.setattr(servers, "ask", ask)
    cursor = as_role.cursor()
    monkeypatch.setattr(servers, "history_changeable", lambda _: history_changeable(cursor))
    assert "accounts_auditevent" in looked().words and looked().level == "warn"
    prepare(settings)
    assert looked().level == "pass"


# ── a schema from before PostgreSQL 15 ──────────────────────────────────────
@pytest.fixture
def open_schema(as_role: "psycopg.Connection[Any]") -> Iterator["psycopg.Connection[Any]"]:
    """Everybody may create in it; a superuser's connection, to say whose it is."""
    with as_superuser() as superuser:
        superuser.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
        try:
            yield superuser
        finally:
            superuser.execute("ALTER SCHEMA public OWNER TO pg_database_owner")
            superuser.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")


def creates(role: "psycopg.Connection[Any]") -> bool:
    try:
        role.execute("CREATE FUNCTION public.lower(int) RETURNS int RETURN 1")
    except psycopg.errors.InsufficientPrivilege:
        return False
    role.execute("DROP FUNCTION public.lower(int)")
    return True


def doctor_told() -> Verdict:
    return servers.database_role(timezone.now())


def test_what_everybody_could_create_nobody_can_after_prepare(
    as_role: "psycopg.Connection[Any]", open_schema: "psycopg.Connection[Any]", settings: Any
) -> None:
    assert creates(as_role) and everybody_creates(as_role.cursor())
    assert "Every role may make" in doctor_told().words and doctor_told().level == "warn"
    assert f"{ROLE} may read and write rows, and no more." in prepare(settings)
    assert not creates(as_role) and not everybody_creates(as_role.cursor())
    assert "Every role" not in doctor_told().words


def test_what_the_role_alone_could_create_it_cannot_after_prepare(
    as_role: "psycopg.Connection[Any]", settings: Any
) -> None:
    with as_superuser() as superuser:
        superuser.execute(f"GRANT CREATE ON SCHEMA public TO {ROLE}")
    assert creates(as_role)
    prepare(settings)
    assert not creates(as_role)


def test_where_the_schema_is_anothers_the_remedy_is_said_and_mends_it(
    as_role: "psycopg.Connection[Any]", open_schema: "psycopg.Connection[Any]", settings: Any
) -> None:
    """As after pg_upgrade: the owner of the tables cannot take it away, and could not migrate."""
    open_schema.execute("ALTER SCHEMA public OWNER TO postgres")
    said = prepare(settings)
    assert "and no more" not in said and said.count(SCHEMA_SHUT) == 1
    assert creates(as_role) and doctor_told().remedy.endswith(SCHEMA_SHUT)
    open_schema.execute(SCHEMA_SHUT)
    assert not creates(as_role) and "Every role" not in doctor_told().words
    with connection.cursor() as owner:
        owner.execute("CREATE TABLE public.next_migration (id int)")
        owner.execute("DROP TABLE public.next_migration")
    assert "and no more" in prepare(settings)


@pytest.mark.parametrize("who", ["nobody_of_test", "the owner"])
def test_a_role_that_cannot_be_given_the_rows_is_said_in_words(settings: Any, who: str) -> None:
    role = house_settings.DATABASES["default"]["USER"] if who == "the owner" else who
    with pytest.raises(CommandError, match="must be there, and be another than the owner"):
        prepare(settings, role)
