"""Nobody of the staff acts on what is their own, and on a colleague's only a superuser does."""

from typing import Any

import pytest
from django.contrib import admin
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import AuditEvent, BrokerageAccount, User
from accounts.services.staff import support_grant
from speedtrade.lib.admin import SupportAdmin
from speedtrade.lib.admin_rules import may_touch
from speedtrade.lib.errors import DomainError
from speedtrade.testing.cast import account_of, make_superuser, page_client
from speedtrade.tests import test_admin
from speedtrade.tests.test_admin import REASON, ROW_ACTS, act, texts
from trading.models import ParkedTask
from trading.tests.desk import Desk

desk, support = test_admin.desk, test_admin.support

HOUSES = {test_admin.Instrument, ParkedTask}  # what is done to them is done to everybody
OWNED = [(*entry[:4],) for entry in ROW_ACTS if entry[0] not in HOUSES]
each_act = pytest.mark.parametrize(
    ("model", "name", "row_of", "action"),
    OWNED,
    ids=[f"{model._meta.model_name}-{name}" for model, name, *_ in OWNED],
)


def alice_is(**fields: bool) -> User:
    User.objects.filter(username="alice").update(**fields)
    return User.objects.get(username="alice")


def stands(model: Any, row: Any, action: str) -> tuple[Any, int]:
    """The row as it stands, and how often the audit tells of the act."""
    told = AuditEvent.objects.filter(action=action, reason=REASON).count()
    return model.objects.filter(pk=row.pk).values().get(), told


@each_act
def test_support_touches_nothing_of_a_colleague(
    desk: Desk, support: Client, model: Any, name: str, row_of: Any, action: str
):
    row = row_of()
    for fields in ({"is_staff": True}, {"is_staff": False, "is_superuser": True}):
        alice_is(**fields)
        before = stands(model, row, action)
        said = texts(act(support, model, name, row))[-1]
        assert said.endswith("(permission_denied)")
        assert stands(model, row, action) == before


@each_act
def test_nobody_touches_what_is_their_own(
    desk: Desk, model: Any, name: str, row_of: Any, action: str
):
    row = row_of()
    alice = alice_is(is_active=True)  # who is closed has no desk
    support_grant(user=alice, actor=None, reason="She knows the house.", now=desk.now)
    client = page_client(User.objects.get(pk=alice.pk))
    for boss in (False, True):
        alice_is(is_superuser=boss)
        before = stands(model, row, action)
        said = texts(act(client, model, name, row))[-1]
        assert said.endswith("(conflict)") and "Ask a colleague" in said
        assert stands(model, row, action) == before


@each_act
def test_a_superuser_acts_on_what_is_a_colleagues(
    desk: Desk, model: Any, name: str, row_of: Any, action: str
):
    row, root = row_of(), make_superuser()
    alice_is(is_staff=True)
    answer = act(page_client(root), model, name, row)
    assert AuditEvent.objects.get(action=action, reason=REASON).actor == root, texts(answer)


#: act of the command line, a row for it, the audit's words, what the row reads afterwards
BY_COMMAND = [
    ("accept", test_admin._difference, "difference.accept", {"reason": REASON}),
    ("give_up", test_admin._lost, "order.release", {"state": "rejected"}),
    ("give_up", test_admin._stranded, "order.release", {"state": "canceled"}),
    ("unfreeze", test_admin._frozen, "account.unfreeze", {"status": "active"}),
]


@pytest.mark.parametrize(("name", "row_of", "action", "after"), BY_COMMAND)
def test_a_house_of_one_does_it_by_command(
    desk: Desk, capsys: Any, name: str, row_of: Any, action: str, after: Any
):
    row = row_of()
    for reason, wrong in ((" ", "Say why"), ("x" * 201, "Say why")):
        with pytest.raises(CommandError, match=wrong):
            call_command("desk_act", name, str(row.pk), reason)
    with pytest.raises(CommandError):
        call_command("desk_act", name, "999999", REASON)
    call_command("desk_act", name, str(row.pk), REASON)
    assert capsys.readouterr().out.count("\n") == 1
    row.refresh_from_db()
    assert {field: getattr(row, field) for field in after} == after
    told = AuditEvent.objects.get(action=action)
    assert (told.actor, told.reason) == (None, REASON)
    with pytest.raises(CommandError):
        call_command("desk_act", name, str(row.pk), REASON)
    assert AuditEvent.objects.filter(action=action).count() == 1
    desk.check()


def test_one_who_is_refused_does_not_stop_the_others(desk: Desk, support: Client, bob: User):
    theirs, own = desk.account, account_of(bob)
    said = texts(act(support, BrokerageAccount, "freeze", theirs, own))
    assert sorted(text.rpartition(" ")[2] for text in said) == ["(conflict)", "pass."]
    theirs.refresh_from_db()
    own.refresh_from_db()
    assert (theirs.status, own.status) == ("frozen", "active")


def test_an_act_on_rows_knows_whose_they_are():
    """Who adds acts to a page without saying it fails here, and at the first act."""
    for model, desk_of in admin.site._registry.items():
        says = type(desk_of).owner_of is not SupportAdmin.owner_of
        assert says or not desk_of.actions, model
        if model in HOUSES:
            assert desk_of.owner_of(model()) is None


@pytest.mark.parametrize(
    ("owner", "actor", "code"),
    [
        ({}, {"is_staff": True}, ""),
        ({"is_staff": True}, {"is_staff": True}, "permission_denied"),
        ({"is_superuser": True}, {"is_staff": True}, "permission_denied"),
        ({"is_staff": True}, {"is_superuser": True}, ""),
        ({"is_superuser": True}, {"is_superuser": True}, ""),
        ({"pk": 1}, {"pk": 1}, "conflict"),
        ({"pk": 1}, {"pk": 1, "is_superuser": True}, "conflict"),
    ],
)
def test_who_may_act_on_whom(owner: dict[str, Any], actor: dict[str, Any], code: str):
    doing, done_to = User(**{"pk": 1, **actor}), User(**{"pk": 2, **owner})
    may_touch(None, doing)
    if not code:
        may_touch(done_to, doing)
        return
    with pytest.raises(DomainError) as refused:
        may_touch(done_to, doing)
    assert refused.value.code == code
