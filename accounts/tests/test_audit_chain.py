"""A row of the audit that somebody changed in secret, took out or put in is found."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts import tasks as audit_tasks
from accounts.models import AuditEvent, AuditSeal, User
from accounts.services.audit import audit_record
from accounts.services.audit_chain import audit_seal, audit_verify
from speedtrade.doctor import house

pytestmark = pytest.mark.django_db


def write(actor: User, rows: int = 3) -> list[AuditEvent]:
    now = timezone.now()
    return [
        audit_record(
            actor=actor, action="order.cancel", target=f"order:{n}", data={"ü": n, "a": "1.50"},
            reason="as asked", now=now + timedelta(microseconds=n),
        )
        for n in range(rows)
    ]  # fmt: skip


@contextmanager
def unguarded(*tables: str) -> Iterator[Any]:
    """What somebody does who owns the tables."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # nothing pending: else no ALTER
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield cursor
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def test_every_row_is_sealed_once_in_its_order(alice: User):
    write(alice)
    assert audit_seal() == AuditEvent.objects.count()
    assert audit_seal() == 0
    write(alice, 2)
    assert audit_seal() == 2
    chain = audit_verify()
    assert chain.links == AuditEvent.objects.count() and chain.breaks == ()
    assert chain.head == AuditSeal.objects.latest("pk").digest
    ordered = AuditSeal.objects.order_by("pk").values_list("event_id", flat=True)
    assert list(ordered) == sorted(ordered)


CHANGES = {
    "reason": "UPDATE accounts_auditevent SET reason = 'nobody asked' WHERE id = %s",
    "time": "UPDATE accounts_auditevent SET at = at + interval '1 us' WHERE id = %s",
    "actor": "UPDATE accounts_auditevent SET actor_id = NULL WHERE id = %s",
    "data": """UPDATE accounts_auditevent SET data = '{"a": "1.5"}' WHERE id = %s""",
    "target": "UPDATE accounts_auditevent SET target = 'order:9' WHERE id = %s",
    "action": "UPDATE accounts_auditevent SET action = 'order.place' WHERE id = %s",
    "request": "UPDATE accounts_auditevent SET request_id = 'x' WHERE id = %s",
}


@pytest.mark.parametrize("sql", CHANGES.values(), ids=CHANGES)
def test_a_row_that_was_changed_is_named(alice: User, sql: str):
    row = write(alice)[1]
    audit_seal()
    with unguarded("accounts_auditevent") as cursor:
        cursor.execute(sql, [row.pk])
    for last in (None, 2, 100):
        (words,) = audit_verify(last=last).breaks
        assert words.startswith(f"Event {row.pk} (")


def test_a_row_that_was_taken_out_with_its_seal_is_missed(alice: User):
    row = write(alice)[1]
    audit_seal()
    with unguarded("accounts_auditevent", "accounts_auditseal") as cursor:
        cursor.execute("DELETE FROM accounts_auditseal WHERE event_id = %s", [row.pk])
        cursor.execute("DELETE FROM accounts_auditevent WHERE id = %s", [row.pk])
    (words,) = audit_verify().breaks
    assert words.startswith("A link is missing before seal ")


def test_a_row_that_was_put_in_among_old_ones_has_no_seal(alice: User, settings: Any):
    settings.AUDIT_SEAL_LOOK_BACK = 2
    gone = write(alice, 6)[0]
    audit_seal()
    with unguarded("accounts_auditseal") as cursor:
        cursor.execute("DELETE FROM accounts_auditseal WHERE event_id = %s", [gone.pk])
    assert audit_seal() == 0
    assert f"Event {gone.pk} has no seal." in audit_verify().breaks
    assert audit_tasks.audit_walk() == len(audit_verify().breaks) > 0
    with pytest.raises(CommandError, match="Say why"):
        call_command("verify_audit", seal_late=" ")
    assert not AuditSeal.objects.filter(event=gone).exists()


def test_a_row_that_came_too_late_is_sealed_by_hand(alice: User, settings: Any):
    settings.AUDIT_SEAL_LOOK_BACK = 0
    with connection.cursor() as cursor:  # the number of a transaction that takes long
        cursor.execute("SELECT nextval(pg_get_serial_sequence('accounts_auditevent', 'id'))")
        (number,) = cursor.fetchone()
    write(alice)
    audit_seal()
    AuditEvent.objects.create(pk=number, at=timezone.now(), action="order.cancel", target="a")
    assert audit_seal() == 0
    assert audit_verify().breaks == (f"Event {number} has no seal.",)
    out = StringIO()
    call_command("verify_audit", seal_late="A long transaction.", stdout=out)
    assert "1 rows that came late" in out.getvalue()
    row = AuditEvent.objects.get(action="audit.seal_late")
    assert (row.reason, row.data) == ("A long transaction.", {"events": [number]})
    assert audit_seal() == 1
    assert audit_verify().breaks == ()


def test_a_row_that_commits_late_is_sealed_late(alice: User):
    late = write(alice)[1]
    audit_seal()
    with unguarded("accounts_auditseal") as cursor:  # as if it had not been there yet
        cursor.execute("DELETE FROM accounts_auditseal WHERE event_id >= %s", [late.pk])
    assert audit_seal() == 2
    assert audit_verify().breaks == ()


def test_a_chain_has_no_fork(alice: User):
    """Fails without the unique `previous`: two workers at once would each go on from the last."""
    rows = write(alice, 2)
    audit_seal()
    more = write(alice, 1)[0]
    taken = AuditSeal.objects.get(event=rows[0]).digest
    with pytest.raises(IntegrityError), transaction.atomic():
        AuditSeal.objects.create(event=more, previous=taken, digest="0" * 64)


def test_a_seal_is_append_only(alice: User):
    write(alice)
    audit_seal()
    with pytest.raises(IntegrityError), transaction.atomic():
        AuditSeal.objects.update(digest="0" * 64)


def test_another_worker_that_was_faster_is_no_error(alice: User, monkeypatch: pytest.MonkeyPatch):
    write(alice)
    audit_seal()
    write(alice)
    stale = AuditSeal.objects.order_by("pk").first()
    monkeypatch.setattr(
        "accounts.services.audit_chain.AuditSeal.objects.order_by",
        lambda *names: type("Old", (), {"first": staticmethod(lambda: stale)}),
    )
    assert audit_seal() == 0


def test_the_command_and_the_doctor_say_so(alice: User):
    row = write(alice)[0]
    audit_seal()
    out = StringIO()
    call_command("verify_audit", stdout=out)
    assert "as they were written" in out.getvalue()
    look: Callable[[], str] = lambda: house.audit_whole(timezone.now()).level  # noqa: E731
    assert look() == "pass"
    with unguarded("accounts_auditevent") as cursor:
        cursor.execute(CHANGES["reason"], [row.pk])
    assert look() == "fail"
    with pytest.raises(CommandError, match=f"Event {row.pk}"):
        call_command("verify_audit")
