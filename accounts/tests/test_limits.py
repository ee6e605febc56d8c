"""The owner's own limits of an account: what may be set, and who may raise one."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEvent, BrokerageAccount
from accounts.services.limits import account_limits_change
from speedtrade.lib.errors import InvalidInput
from speedtrade.testing.cast import PASSWORD, ApiClient, account_of, page_client

D = Decimal
SET = {"order_cap": "250", "day_cap": "$1,250.50"}


@pytest.fixture
def web(alice: Any) -> Client:
    return page_client(alice)


def caps(user: Any) -> tuple[Decimal | None, Decimal | None]:
    account = BrokerageAccount.objects.get(user=user)
    return account.order_cap, account.day_cap


def refused(answer: Any) -> dict[str, Any]:
    """The errors of the form that came back."""
    assert answer.status_code == 422
    return dict(answer.context["limits_form"].errors)


# ── what may be set ──────────────────────────────────────────────────────────
def test_limits_are_saved_shown_and_written_down(alice: Any, charlie: Any, web: Client):
    answer = web.post("/settings/limits", SET)
    account = account_of(alice)
    assert (answer.status_code, answer.url) == (303, f"/settings/trading?account_id={account.pk}")
    assert caps(alice) == (D(250), D("1250.5")) and caps(charlie) == (None, None)
    page = web.get("/settings/trading").content.decode()
    assert 'value="250.00"' in page and 'value="1250.50"' in page and "Saved." in page
    row = AuditEvent.objects.get(action="account.limits")
    assert (row.actor, row.target) == (alice, f"account:{account.pk}")
    assert row.data["order_cap"] == {"from": None, "to": "250"}
    web.post("/settings/limits", SET)
    assert AuditEvent.objects.filter(action="account.limits").count() == 1, "nothing has changed"


def test_the_form_names_the_account_that_it_limits(alice: Any, charlie: Any, web: Client):
    theirs = account_of(charlie)
    answer = web.post("/settings/limits", {**SET, "account_id": str(theirs.pk)})
    assert answer.status_code == 404 and caps(charlie) == (None, None)
    answer = ApiClient(user=alice)("PATCH", f"accounts/{theirs.pk}", {"order_cap": "1"})
    assert answer.status_code == 404 and caps(charlie) == (None, None)


@pytest.mark.parametrize("name", ["order_cap", "day_cap"])
@pytest.mark.parametrize("cap, passes", [("999.99", True), ("1000", True), ("1000.01", False)])
def test_a_limit_is_never_above_the_houses(
    alice: Any, web: Client, settings: Any, name: str, cap: str, passes: bool
):
    settings.RISK_MAX_ORDER_NOTIONAL = settings.RISK_MAX_DAY_NOTIONAL = D(1000)
    answer = web.post("/settings/limits", {name: cap})
    assert (answer.status_code == 303) is passes
    if not passes:
        assert "come to $1,000.00: write no more" in str(refused(answer)[name])
        assert caps(alice) == (None, None)


@pytest.mark.parametrize("wrong", ["-1", "much", "12,5", "1e3", "NaN", "Infinity"])
def test_what_is_no_amount_comes_back_with_its_reason(alice: Any, web: Client, wrong: str):
    assert set(refused(web.post("/settings/limits", {"order_cap": wrong}))) == {"order_cap"}
    assert caps(alice) == (None, None)


def test_a_limit_that_the_house_has_passed_by_does_not_keep_the_other_from_changing(
    alice: Any, web: Client, settings: Any
):
    web.post("/settings/limits", SET)
    settings.RISK_MAX_ORDER_NOTIONAL = D(100)
    assert web.post("/settings/limits", {**SET, "day_cap": "1000"}).status_code == 303
    assert caps(alice) == (D(250), D(1000))


def test_the_database_refuses_a_limit_below_zero(alice: Any):
    with pytest.raises(IntegrityError, match="order_cap_not_below"), transaction.atomic():
        BrokerageAccount.objects.update(order_cap=D(-1))


# ── raising one ──────────────────────────────────────────────────────────────
@pytest.mark.parametrize("cap", ["250.01", "300", ""])
def test_raising_a_limit_takes_the_password(alice: Any, web: Client, cap: str):
    web.post("/settings/limits", SET)
    raised = {**SET, "order_cap": cap}
    assert set(refused(web.post("/settings/limits", raised))) == {"password"}
    answer = web.post("/settings/limits", {**raised, "password": "not-this-one"})
    assert "not your password" in str(refused(answer)["password"]), "a wrong one is none"
    assert b"not-this-one" not in answer.content
    assert caps(alice)[0] == D(250)
    assert web.post("/settings/limits", {**raised, "password": PASSWORD}).status_code == 303
    assert caps(alice)[0] == (D(cap) if cap else None)


@pytest.mark.parametrize("cap", ["249.99", "250", "0"])
def test_lowering_a_limit_takes_no_password(alice: Any, web: Client, cap: str):
    web.post("/settings/limits", SET)
    assert web.post("/settings/limits", {**SET, "order_cap": cap}).status_code == 303
    assert caps(alice)[0] == D(cap)


def test_lowering_one_limit_does_not_carry_the_other_upwards(alice: Any, web: Client):
    web.post("/settings/limits", SET)
    both = {"order_cap": "1", "day_cap": "2000"}
    assert set(refused(web.post("/settings/limits", both))) == {"password"}
    assert caps(alice) == (D(250), D("1250.5"))


def test_the_api_asks_for_the_password_as_the_page_does(alice: Any):
    script, path = ApiClient(user=alice), f"accounts/{account_of(alice).pk}"
    assert script("PATCH", path, {"order_cap": "250"}).json()["order_cap"] == "250.00"
    answer = script("PATCH", path, {"order_cap": "251"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0] | {"detail": ""} == {
        "field": "password",
        "code": "password_required",
        "detail": "",
    }
    answer = script("PATCH", path, {"order_cap": "251", "password": PASSWORD})
    assert answer.json()["order_cap"] == "251.00" and PASSWORD not in answer.content.decode()


def test_guessing_the_password_is_counted(alice: Any, web: Client, settings: Any):
    settings.RATE_WRONG_PASSWORD = "2/hour"
    web.post("/settings/limits", SET)
    raised = {**SET, "order_cap": "300", "password": "not-this-one"}
    assert [web.post("/settings/limits", raised).status_code for _ in range(3)] == [422, 422, 429]


def test_a_limit_that_was_lowered_meanwhile_is_not_raised_without_the_password(alice: Any):
    """Compared with the row under its lock, not with what the form was made from."""
    stale = account_of(alice)
    BrokerageAccount.objects.update(order_cap=D(10))
    with pytest.raises(InvalidInput, match="takes your password"):
        account_limits_change(
            account=stale, caps={"order_cap": D(20)}, actor=alice, now=timezone.now()
        )
