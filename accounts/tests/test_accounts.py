"""Brokerage accounts: whose they are, their names, and what support may do to them."""

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import AuditEvent, BrokerageAccount
from accounts.services.accounts import account_change, account_freeze, account_unfreeze
from speedtrade.lib.errors import Conflict, InvalidInput, NotFound
from speedtrade.testing.cast import ApiClient, account_of

FIELDS = {
    "id",
    "label",
    "broker",
    "exchange",
    "mode",
    "currency",
    "status",
    "status_reason",
    "is_default",
    "order_cap",
    "day_cap",
    "stopped_at",
    "connected_at",
    "last_synced_at",
    "created_at",
}


def another(user, **fields) -> BrokerageAccount:
    return BrokerageAccount.objects.create(
        user=user, label="Second", created_at=timezone.now(), **fields
    )


def test_a_user_sees_their_accounts_and_no_others(alice, charlie):
    answer = ApiClient(user=alice).get("accounts")
    assert answer.status_code == 200
    (account,) = answer.json()
    assert set(account) == FIELDS
    assert account["id"] == account_of(alice).pk
    assert (account["broker"], account["mode"], account["is_default"]) == ("paper", "paper", True)


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_another_users_account_is_not_there(alice, charlie, method):
    theirs, nowhere = f"accounts/{account_of(alice).pk}", "accounts/99999999999999999999"
    stranger = ApiClient(user=charlie)
    answers = [stranger(method, path, {"label": "mine now"}) for path in (theirs, nowhere)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].json()["detail"] == answers[1].json()["detail"]
    assert account_of(alice).label == "Paper account"


def test_an_account_is_named_and_nothing_else_of_it_is_for_writing(alice, charlie):
    path = f"accounts/{account_of(alice).pk}"
    wanted = {"label": " Play money ", "status": "frozen", "mode": "live", "user": charlie.pk}
    answer = ApiClient(user=alice)("PATCH", path, wanted)
    assert answer.status_code == 200
    assert (answer.json()["label"], answer.json()["status"]) == ("Play money", "active")
    account = account_of(alice)
    assert (account.label, account.status, account.mode) == ("Play money", "active", "paper")


@pytest.mark.parametrize(
    "body", [{"label": ""}, {"label": " "}, {"label": "x" * 61}, {"label": None}]
)
def test_a_label_that_is_none_is_refused(alice, body):
    answer = ApiClient(user=alice)("PATCH", f"accounts/{account_of(alice).pk}", body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "label"


def test_one_account_is_the_default(alice):
    first, second = account_of(alice), another(alice)
    script = ApiClient(user=alice)
    answer = script("PATCH", f"accounts/{second.pk}", {"is_default": True})
    assert answer.status_code == 200 and answer.json()["is_default"]
    assert [a["id"] for a in script.get("accounts").json()] == [second.pk, first.pk]
    assert account_of(alice) == second
    answer = script("PATCH", f"accounts/{second.pk}", {"is_default": False})
    assert answer.status_code == 400
    # Saying again what is so changes nothing.
    assert account_change(account=second, is_default=True).is_default
    assert not account_change(account=first, is_default=False).is_default


def test_the_database_refuses_a_second_default_and_live_paper(alice):
    with pytest.raises(IntegrityError), transaction.atomic():
        another(alice, is_default=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        another(alice, mode="live")


def test_the_paper_account_stays(alice):
    answer = ApiClient(user=alice)("DELETE", f"accounts/{account_of(alice).pk}")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert account_of(alice).status == "active"


def test_support_freezes_and_unfreezes_with_a_reason_that_stays_on_record(alice, bob):
    account, now = account_of(alice), timezone.now()
    frozen = account_freeze(account_id=account.pk, actor=bob, reason=" odd orders ", now=now)
    assert (frozen.status, frozen.status_reason) == ("frozen", "odd orders")
    with pytest.raises(Conflict):
        account_freeze(account_id=account.pk, actor=bob, reason="again", now=now)
    thawed = account_unfreeze(account_id=account.pk, actor=bob, reason="explained", now=now)
    assert (thawed.status, thawed.status_reason) == ("active", "")
    with pytest.raises(Conflict):
        account_unfreeze(account_id=account.pk, actor=bob, reason="again", now=now)
    rows = AuditEvent.objects.filter(target=f"account:{account.pk}").order_by("id")
    assert [(r.actor, r.action, r.reason) for r in rows] == [
        (bob, "account.freeze", "odd orders"),
        (bob, "account.unfreeze", "explained"),
    ]


@pytest.mark.parametrize("reason", ["", "   ", "x" * 201])
def test_freezing_without_a_reason_is_refused(alice, bob, reason):
    with pytest.raises(InvalidInput):
        account_freeze(
            account_id=account_of(alice).pk, actor=bob, reason=reason, now=timezone.now()
        )
    assert account_of(alice).status == "active"


def test_freezing_what_is_not_there_is_refused(bob):
    with pytest.raises(NotFound):
        account_freeze(account_id=0, actor=bob, reason="why", now=timezone.now())
