"""The support desk: who gets in, what is shown, that nothing is saved, and that acts are told."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis
import time_machine
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import ApiKey, AuditEvent, BrokerageAccount, TokenFamily, User
from accounts.services.resets import factor_reset_ask
from accounts.services.staff import support_grant, support_group_ensure
from accounts.tests.test_api_keys import make_key
from accounts.tokens import tokens_issue
from marketdata.models import Instrument
from marketdata.services.alert_firing import alert_fire
from marketdata.services.alerts import alert_create
from portfolio.models import LedgerCheck
from portfolio.services.checks import ledger_check_request
from speedtrade import urls
from speedtrade.admin_index import age_words
from speedtrade.lib.admin import SupportAdmin
from speedtrade.lib.heartbeat import heartbeat
from speedtrade.testing import market
from speedtrade.testing.cast import (
    PASSWORD,
    account_of,
    give_app,
    make_superuser,
    make_user,
    page_client,
)
from trading.models import BrokerLink, Difference, Order, OrderEvent, ParkedTask, TradingHalt
from trading.services.halts import trading_halt
from trading.tests.desk import Desk

assert urls.urlpatterns  # to load the addresses is what fills the admin's registry
QUERY_BUDGET = 25
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
LABELS = [model._meta.label_lower for model in MODELS]
REASON = "They called and asked."


def page(model: Any, kind: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{kind}", args=args)


def texts(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def act(client: Client, model: Any, name: str, *rows: Any, reason: str | None = REASON) -> Any:
    """What the confirmation page sends; with `reason` None what the list sends first."""
    data: dict[str, Any] = {"action": name, ACTION_CHECKBOX_NAME: [row.pk for row in rows]}
    if reason is not None:
        data |= {"confirmed": "yes", "reason": reason}
    return client.post(page(model, "changelist"), data)


@pytest.fixture
def desk(alice: User) -> Iterator[Desk]:
    """Alice at the paper venue with a fill, an order that rests and one that was not sent."""
    with time_machine.travel(market.NOON, tick=False) as clock:
        made = Desk(alice, account_of(alice), clock)
        made.quote("99.99", "100.00")
        made.trade("buy", "10")
        made.work(made.place("buy", "5", limit="90.00"))
        made.place("buy", "1", limit="80.00")
        yield made


@pytest.fixture
def support(bob: User) -> Client:
    support_grant(user=bob, actor=None, reason="He answers the phone.", now=timezone.now())
    return page_client(User.objects.get(pk=bob.pk))


@pytest.fixture
def viewer(db: None) -> Client:
    """Staff who may see everything and do nothing."""
    user = make_user("vera", staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    return page_client(user)


@pytest.fixture
def everything(desk: Desk) -> dict[Any, Any]:
    """One row of every model of the desk."""
    trading_halt(actor=None, reason="A drill.", now=desk.now)
    desk.user.token_families.all().delete()
    tokens_issue(user=desk.user, now=desk.now)
    make_key(desk.user)
    ledger_check_request(actor=desk.user, reason="To have one.", now=desk.now)
    from portfolio.models import Direction
    from portfolio.services.transfers import transfer_make

    transfer_make(
        account=desk.account,
        direction=Direction.DEPOSIT,
        amount=market.D(5),
        key="k",
        requested_by=desk.user,
        now=desk.now,
    )
    _difference()
    _parked()
    alert = alert_create(
        user=desk.user, symbol="AAPL", direction="above", price=market.D(150), now=desk.now
    )
    over = market.quote("AAPL", "150.99", "151.00", now=desk.now + timedelta(seconds=1))
    assert alert_fire(alert_id=alert.pk, quote=over, now=desk.now)
    return {model: model.objects.order_by("pk").first() for model in MODELS}


# ── who gets in ──────────────────────────────────────────────────────────────
def test_the_desk_is_reached_through_the_one_log_in_page(db: None):
    for address in ("/admin/", "/admin/login/", "/admin/trading/order/", "/admin/no/such/page"):
        answer = Client().get(address)
        wanted = "/admin/" if address == "/admin/login/" else address
        assert answer["Location"] == f"/login?next={wanted}"


def test_no_password_is_ever_checked_by_the_admins_own_form(bob: User):
    client = Client()
    answer = client.post("/admin/login/", {"username": "bob", "password": PASSWORD})
    assert answer.status_code == 302
    assert answer["Location"].startswith("/login?next=")
    assert "_auth_user_id" not in client.session


def test_five_wrong_passwords_close_the_desk_as_well(bob: User):
    client = Client()
    for _ in range(5):
        assert client.post("/login", {"username": "bob", "password": "wrong"}).status_code == 422
    answer = client.post("/login", {"username": "bob", "password": PASSWORD, "next": "/admin/"})
    assert answer.status_code == 429
    assert client.get("/admin/").status_code == 302


def test_the_log_in_leads_staff_back_to_the_desk(bob: User):
    client = Client()
    data = {"username": "bob", "password": PASSWORD, "next": "/admin/"}
    answer = client.post("/login", data, follow=True)
    assert answer.status_code == 200
    # The desk asks for a second factor first, and whoever has none sets one up.
    assert answer.redirect_chain == [("/admin/", 302), ("/settings/security/app", 303)]


def test_who_is_no_staff_is_refused_and_not_asked_to_log_in(alice: User):
    client = page_client(alice)
    for address in ("/admin/", "/admin/login/?next=/admin/", page(Order, "changelist")):
        answer = client.get(address, follow=True)
        assert answer.status_code == 403, address
        assert b"desk-card" not in answer.content


def test_a_closed_user_is_out_at_once(support: Client, bob: User):
    assert support.get("/admin/").status_code == 200
    User.objects.filter(pk=bob.pk).update(is_active=False)
    assert support.get("/admin/").status_code == 302


def test_logging_out_at_the_desk_ends_the_session(support: Client):
    assert support.post("/admin/logout/").status_code == 302
    assert support.get("/admin/").status_code == 302


def test_passwords_are_changed_where_wrong_ones_are_counted(support: Client):
    for address in ("/admin/password_change/", "/admin/password_change/done/"):
        assert support.get(address)["Location"] == "/settings/password"


# ── what is shown ────────────────────────────────────────────────────────────
def test_staff_without_permissions_see_nothing(desk: Desk, bob: User):
    client = page_client(bob)
    index = client.get("/admin/")
    assert index.status_code == 200
    assert b"desk-card" not in index.content
    for model in MODELS:
        assert page(model, "changelist") not in index.content.decode()
        assert client.get(page(model, "changelist")).status_code == 403
    order = Order.objects.first()
    assert client.get(page(Order, "change", order.pk)).status_code == 403
    assert client.get(page(Order, "history", order.pk)).status_code == 403
    for address in ("/admin/trading/tradinghalt/halt/", "/admin/portfolio/ledgercheck/run/"):
        assert client.get(address).status_code == 403
        assert client.post(address, {"reason": REASON}).status_code == 403
    assert not TradingHalt.objects.exists()
    assert not LedgerCheck.objects.exists()
    assert not AuditEvent.objects.filter(actor=bob, action="admin.view").exists()


def test_support_reads_every_model(everything: dict[Any, Any], support: Client):
    secrets = [user.password for user in User.objects.all()]
    secrets += [str(value) for f in TokenFamily.objects.all() for value in (f.auth_hash, f.current)]
    secrets += [key.digest for key in ApiKey.objects.all()]
    assert len(everything) == len(MODELS)
    for model, row in everything.items():
        assert row is not None, f"the test has no row of {model}"
        for address in (page(model, "changelist"), page(model, "change", row.pk)):
            answer = support.get(address)
            assert answer.status_code == 200, address
            shown = answer.content.decode()
            assert not [secret for secret in secrets if secret in shown], address
            assert "argon2" not in shown
            assert 'name="_save"' not in shown


def test_numbers_are_exact_and_without_idle_zeros(desk: Desk, support: Client):
    order = Order.objects.order_by("pk").first()
    shown = support.get(page(Order, "change", order.pk)).content.decode()
    assert "1000" in shown
    assert "1000.0000" not in shown


def test_an_order_is_shown_with_its_events_fills_and_evidence(desk: Desk, support: Client):
    order = Order.objects.order_by("pk").first()
    shown = support.get(page(Order, "change", order.pk)).content.decode()
    fill = order.fills.get()
    assert fill.trade_id in shown
    assert re.search(r"field-evidence.*rule", shown, re.DOTALL)
    for event in order.events.all():
        assert event.new_state in shown


def test_looking_leaves_an_audit_row(desk: Desk, support: Client, bob: User):
    order = Order.objects.first()
    answer = support.get(page(Order, "change", order.pk), headers={"X-Request-Id": "look-1234"})
    support.get(page(User, "changelist"), {"q": "alice"})
    looked = AuditEvent.objects.filter(action="admin.view", actor=bob).order_by("id")
    assert [(row.target, row.data) for row in looked] == [
        (f"order:{order.pk}", {}),
        ("user:*", {"query": "q=alice"}),
    ]
    assert looked[0].request_id == answer["X-Request-Id"] == "look-1234"


def test_the_history_of_a_row_is_its_audit(desk: Desk, support: Client):
    order = Order.objects.filter(state="pending").get()
    act(support, Order, "cancel", order)
    answer = support.get(page(Order, "history", order.pk), follow=True)
    assert REASON in answer.content.decode()
    assert answer.redirect_chain[0][0].endswith(f"?target=order%3A{order.pk}&kind=all")


def test_the_audit_list_shows_what_was_done_before_what_was_looked_at(desk: Desk, support: Client):
    support.get(page(Order, "changelist"))
    lists = {
        kind: support.get(page(AuditEvent, "changelist"), {"kind": kind} if kind else {})
        for kind in ("", "reads", "all")
    }
    shown = {kind: answer.content.decode() for kind, answer in lists.items()}
    cell = '<td class="field-action">{}</td>'
    assert cell.format("user.support_grant") in shown[""]
    assert cell.format("admin.view") not in shown[""]
    assert cell.format("admin.view") in shown["reads"]
    assert cell.format("user.support_grant") not in shown["reads"]
    assert cell.format("admin.view") in shown["all"]


# ── nothing is saved by a form ───────────────────────────────────────────────
@pytest.mark.parametrize("label", LABELS)
def test_no_form_writes_even_for_a_superuser(everything: dict[Any, Any], label: str):
    model = next(model for model in MODELS if model._meta.label_lower == label)
    client = page_client(make_superuser())
    row = everything[model]
    rows = model.objects.order_by("pk")
    before = list(rows.values())
    for method in (client.get, client.post):
        assert method(page(model, "add")).status_code == 403
        assert method(page(model, "delete", row.pk)).status_code == 403
    forged = {"qty": "1", "price": "1", "amount": "1", "state": "filled", "is_superuser": "on"}
    assert client.post(page(model, "change", row.pk), forged).status_code == 403
    assert client.post(page(model, "changelist"), {"action": "delete_selected"}).status_code == 403
    assert list(rows.all().values()) == before


def test_rights_are_no_form_of_groups():
    assert "auth.group" not in LABELS


# ── acts ─────────────────────────────────────────────────────────────────────
def _order_that_rests() -> Order:
    return Order.objects.filter(state__in=["accepted", "new"]).get()


def _halted() -> Instrument:
    Instrument.objects.update(halted_at=timezone.now(), halt_reason="news")
    return Instrument.objects.get()


def _frozen() -> BrokerageAccount:
    BrokerageAccount.objects.filter(user__username="alice").update(status="frozen")
    return BrokerageAccount.objects.get(user__username="alice")


def _closed() -> User:
    User.objects.filter(username="alice").update(is_active=False)
    return User.objects.get(username="alice")


def _family() -> TokenFamily:
    user = User.objects.get(username="alice")
    tokens_issue(user=user, now=timezone.now())
    return TokenFamily.objects.get(user=user)


def _key() -> ApiKey:
    return make_key(User.objects.get(username="alice"))[0]


def _staff() -> User:
    user = User.objects.get(username="alice")
    return support_grant(user=user, actor=None, reason="a guest", now=timezone.now())


def _link() -> BrokerLink:
    """A line to a broker, read a moment ago."""
    account = BrokerageAccount.objects.create(
        user=User.objects.get(username="alice"),
        label="Alpaca",
        broker="alpaca",
        status="active",
        created_at=timezone.now(),
    )
    return BrokerLink.objects.create(
        brokerage_account=account,
        created_at=timezone.now(),
        began_at=timezone.now(),
        orders_at=timezone.now(),
        attempted_at=timezone.now(),
    )


def _difference() -> Difference:
    return Difference.objects.create(
        brokerage_account=_link().brokerage_account,
        kind="cash",
        asset="USD",
        ours=0,
        theirs=7,
        first_seen_at=timezone.now(),
        last_seen_at=timezone.now(),
        sightings=2,
    )


def _parked() -> ParkedTask:
    return ParkedTask.objects.create(
        task="trading.tasks.submission_recover",
        arguments="[4711]",
        queue="brokers",
        parked_at=timezone.now(),
    )


def _with_app() -> User:
    user = User.objects.get(username="alice")
    give_app(user)
    return user


def _asked() -> User:
    """Somebody of the staff has asked to reset her second factor."""
    user = _with_app()
    asker = User.objects.filter(username="dora").first() or make_user("dora", staff=True)
    factor_reset_ask(user=user, actor=asker, reason="She lost it.", now=timezone.now())
    return user


def _lost() -> Order:
    """An order of an account that can be read, which its broker does not know."""
    order = _order_that_rests()
    Order.objects.filter(pk=order.pk).update(state="lost")
    return Order.objects.get(pk=order.pk)


def _stranded() -> Order:
    """An order of an account whose key is refused, of which nothing was ever heard again."""
    order = _order_that_rests()
    account_id = order.brokerage_account_id
    BrokerageAccount.objects.filter(pk=account_id).update(broker="alpaca", status="error")
    minutes_ago = timezone.now() - timedelta(minutes=2)
    BrokerLink.objects.create(
        brokerage_account_id=account_id,
        created_at=minutes_ago,
        orders_at=minutes_ago,
        key_refused_at=minutes_ago,
    )
    return Order.objects.get(pk=order.pk)


#: model, act, a row for it, the audit's words, what the row reads afterwards
ROW_ACTS = [
    (Order, "cancel", _order_that_rests, "order.cancel", {"state": "pending_cancel"}),
    (Order, "release", _lost, "order.release", {"state": "rejected"}),
    (Order, "release", _stranded, "order.release", {"state": "canceled"}),
    (BrokerLink, "read_now", _link, "link.read", {"attempted_at": None}),
    (ParkedTask, "release", _parked, "task.release", {"queue": "brokers"}),
    (Difference, "accept", _difference, "difference.accept", {"reason": REASON}),
    (Instrument, "halt", Instrument.objects.get, "instrument.halt", {"halt_reason": REASON}),
    (Instrument, "resume", _halted, "instrument.resume", {"halted_at": None}),
    (
        BrokerageAccount,
        "freeze",
        lambda: BrokerageAccount.objects.get(user__username="alice"),
        "account.freeze",
        {"status": "frozen", "status_reason": REASON},
    ),
    (BrokerageAccount, "unfreeze", _frozen, "account.unfreeze", {"status": "active"}),
    (
        User,
        "deactivate",
        lambda: User.objects.get(username="alice"),
        "user.deactivate",
        {"is_active": False},
    ),
    (User, "ask_factor_reset", _with_app, "user.factor_reset_ask", {"is_active": True}),
    (User, "approve_factor_reset", _asked, "user.factor_reset", {"session_round": 1}),
    (User, "reactivate", _closed, "user.reactivate", {"is_active": True}),
    (TokenFamily, "revoke", _family, "tokens.revoke", {"revoke_reason": "support"}),
    (ApiKey, "revoke", _key, "key.revoke", {}),
]
BOSS_ACTS = [
    (
        User,
        "grant_support",
        lambda: User.objects.get(username="alice"),
        "user.support_grant",
        {"is_staff": True},
    ),
    (User, "revoke_support", _staff, "user.support_revoke", {"is_staff": False}),
]
ids = [f"{model._meta.model_name}-{name}" for model, name, *_ in ROW_ACTS + BOSS_ACTS]


def test_every_act_of_the_desk_is_in_the_tables_of_these_tests():
    listed = {
        (model, function.__name__)
        for model, model_admin in admin.site._registry.items()
        for function in model_admin.actions
    }
    assert listed == {(model, name) for model, name, *_ in ROW_ACTS + BOSS_ACTS}
    desk_acts = {act.name for a in admin.site._registry.values() for act in a.desk_acts}
    assert desk_acts == {"halt", "resume", "run"}


@pytest.mark.parametrize(
    ("model", "name", "row_of", "action", "after"), ROW_ACTS + BOSS_ACTS, ids=ids
)
def test_an_act_asks_for_a_reason_and_leaves_an_audit_row(
    desk: Desk,
    bob: User,
    support: Client,
    model: Any,
    name: str,
    row_of: Any,
    action: str,
    after: Any,
):
    boss = name.endswith("_support")
    client = page_client(make_superuser()) if boss else support
    row = row_of()
    asked = act(client, model, name, row, reason=None)
    assert asked.status_code == 200
    assert b'name="reason"' in asked.content
    told = AuditEvent.objects.filter(action=action, reason=REASON)
    for missing in ("", "   ", "x" * 201):
        assert act(client, model, name, row, reason=missing).status_code == 422
    assert not told.exists()
    answer = act(client, model, name, row)
    assert answer.status_code == 302
    event = told.get()
    assert event.actor == (User.objects.get(username="root") if boss else bob)
    assert event.request_id == answer["X-Request-Id"]
    fresh = model.objects.get(pk=row.pk)
    assert {field: getattr(fresh, field) for field in after} == after
    shown = client.get(page(model, "changelist")).content.decode()
    assert 'class="success"' in shown
    history = client.get(page(model, "history", row.pk), follow=True).content.decode()
    assert action in history and REASON in history
    desk.check()


@pytest.mark.parametrize(
    ("model", "name", "row_of", "action", "after"), ROW_ACTS + BOSS_ACTS, ids=ids
)
def test_who_may_only_look_cannot_act(
    desk: Desk, viewer: Client, model: Any, name: str, row_of: Any, action: str, after: Any
):
    row = row_of()
    before = model.objects.filter(pk=row.pk).values().get()
    assert act(viewer, model, name, row).status_code == 403
    assert model.objects.filter(pk=row.pk).values().get() == before
    shown = viewer.get(page(model, "change", row.pk)).content.decode()
    assert f'value="{name}"' not in shown


@pytest.mark.parametrize(
    ("address", "action"),
    [
        ("/admin/trading/tradinghalt/halt/", "trading.halt"),
        ("/admin/trading/tradinghalt/resume/", "trading.resume"),
        ("/admin/portfolio/ledgercheck/run/", "ledger.check"),
    ],
)
def test_an_act_on_the_house_asks_for_a_reason_and_leaves_an_audit_row(
    desk: Desk, bob: User, support: Client, viewer: Client, address: str, action: str
):
    if action == "trading.resume":
        trading_halt(actor=None, reason="A drill.", now=desk.now)
    assert support.get(address).status_code == 200
    assert support.post(address, {"reason": " "}).status_code == 422
    assert viewer.post(address, {"reason": REASON}).status_code == 403
    assert not AuditEvent.objects.filter(action=action, reason=REASON).exists()
    answer = support.post(address, {"reason": REASON})
    assert answer.status_code == 302
    event = AuditEvent.objects.get(action=action, reason=REASON)
    assert (event.actor, event.request_id) == (bob, answer["X-Request-Id"])


def test_a_refusal_of_one_does_not_stop_the_others(desk: Desk, support: Client):
    filled = Order.objects.get(state="filled")
    waiting = Order.objects.get(state="pending")
    resting = _order_that_rests()
    answer = act(support, Order, "cancel", filled, waiting, resting)
    said = texts(answer)
    assert len(said) == 3
    assert any(f"#{filled.pk}," in text and "(order_final)" in text for text in said)
    assert any(f"#{waiting.pk}," in text and "canceled" in text for text in said)
    assert any(f"#{resting.pk}," in text and "asked to cancel" in text for text in said)
    assert desk.fresh(waiting).state == "canceled"
    assert desk.send(resting).state == "canceled"
    assert desk.reserved == 0
    assert AuditEvent.objects.filter(action="order.cancel", reason=REASON).count() == 2
    desk.check()


def test_the_page_that_asks_names_every_row(desk: Desk, support: Client):
    orders = list(Order.objects.order_by("pk"))
    shown = act(support, Order, "cancel", *orders, reason=None).content.decode()
    for order in orders:
        assert f"Order #{order.pk}, buy" in shown
        assert f'name="{ACTION_CHECKBOX_NAME}" value="{order.pk}"' in shown


def test_the_owner_reads_why_support_cancelled(desk: Desk, support: Client, bob: User):
    resting = _order_that_rests()
    act(support, Order, "cancel", resting)
    event = OrderEvent.objects.filter(order=resting).latest("id")
    assert (event.source, event.actor, event.reason) == ("admin", bob, REASON)


def test_an_act_from_the_page_of_a_row_leads_back_to_it(desk: Desk, support: Client):
    order = _order_that_rests()
    address = page(Order, "change", order.pk)
    shown = support.get(address).content.decode()
    assert 'name="action" value="cancel"' in shown
    data = {"action": "cancel", ACTION_CHECKBOX_NAME: order.pk, "single": "yes"}
    asked = support.post(page(Order, "changelist"), data).content.decode()
    assert 'name="single" value="yes"' in asked
    sent = data | {"confirmed": "yes", "reason": REASON}
    assert support.post(page(Order, "changelist"), sent)["Location"] == address


def test_an_act_from_a_filtered_list_leads_back_to_it_and_nowhere_else(desk: Desk, support: Client):
    order = _order_that_rests()
    data = {"action": "cancel", ACTION_CHECKBOX_NAME: order.pk}
    listed = page(Order, "changelist")
    asked = support.post(f"{listed}?state=new&side=buy", data).content.decode()
    assert 'name="back" value="state=new&amp;side=buy"' in asked
    sent = data | {"confirmed": "yes", "reason": REASON, "back": "//evil.example/?a=1"}
    target = support.post(listed, sent)["Location"]
    assert target.startswith(f"{listed}?")


def test_an_id_that_is_none_is_a_bad_request(desk: Desk, support: Client):
    data = {"action": "cancel", ACTION_CHECKBOX_NAME: "1 or 1"}
    assert support.post(page(Order, "changelist"), data).status_code == 400


def test_one_act_touches_no_more_rows_than_the_limit(desk: Desk, support: Client, settings: Any):
    settings.ADMIN_ACTION_LIMIT = 2
    orders = list(Order.objects.all())
    assert len(orders) == 3
    answer = act(support, Order, "cancel", *orders)
    assert "at most 2 rows" in texts(answer)[0]
    assert not AuditEvent.objects.filter(action="order.cancel").exists()


def test_two_hundred_ticked_rows_can_be_sent(desk: Desk, support: Client):
    rows = [{"pk": number} for number in range(1, settings.ADMIN_ACTION_LIMIT + 1)]
    fields = {"action": "cancel", ACTION_CHECKBOX_NAME: [row["pk"] for row in rows]}
    assert support.post(page(Order, "changelist"), fields).status_code == 200


def test_support_does_not_touch_staff_or_itself(bob: User, support: Client):
    colleague = make_user("dora", staff=True)
    root = make_superuser()
    for victim in (colleague, root, bob):
        answer = act(support, User, "deactivate", victim)
        assert texts(answer)[0].endswith(("(permission_denied)", "(conflict)"))
        assert User.objects.get(pk=victim.pk).is_active
    boss = page_client(root)
    assert "(conflict)" in texts(act(boss, User, "deactivate", root))[0]
    act(boss, User, "deactivate", colleague)
    assert not User.objects.get(pk=colleague.pk).is_active


def test_support_gives_nobody_support_rights(bob: User, support: Client, charlie: User):
    assert act(support, User, "grant_support", charlie).status_code == 403
    assert not User.objects.get(pk=charlie.pk).is_staff


def test_a_revoked_log_in_is_refused_at_the_next_request(alice: User, support: Client):
    pair = tokens_issue(user=alice, now=timezone.now())
    bearer = {"Authorization": f"Bearer {pair.access_token}"}
    assert Client().get("/api/v1/auth/me", headers=bearer).status_code == 200
    act(support, TokenFamily, "revoke", TokenFamily.objects.get(user=alice))
    assert Client().get("/api/v1/auth/me", headers=bearer).status_code == 401


# ── the kill switch ──────────────────────────────────────────────────────────
def test_the_kill_switch_denies_orders_while_cancels_pass(desk: Desk, support: Client):
    from speedtrade.lib.errors import DomainError

    resting = _order_that_rests()
    support.post("/admin/trading/tradinghalt/halt/", {"reason": REASON})
    with pytest.raises(DomainError) as refused:
        desk.place("buy", "1")
    assert refused.value.code == "trading_halted"
    assert REASON in refused.value.detail
    act(support, Order, "cancel", resting)
    assert desk.send(resting).state == "canceled"
    shown = support.get("/admin/").content.decode()
    assert "Trading is halted" in shown
    assert "Resume all trading" in shown
    support.post("/admin/trading/tradinghalt/resume/", {"reason": REASON})
    assert desk.trade("buy", "1").state == "filled"


# ── the index page ───────────────────────────────────────────────────────────
def cards(client: Client) -> dict[str, Any]:
    return {card.title: card for card in client.get("/admin/").context["cards"]}


def test_the_index_counts_what_needs_a_person(desk: Desk, support: Client):
    quiet = cards(support)
    assert {quiet[name].value for name in ("Stuck orders", "Lost orders", "Outbox")} == {"0"}
    assert quiet["Feed"].tone == "bad"  # nobody feeds in this test
    heartbeat("feed", desk.now)
    heartbeat("worker", desk.now - timedelta(seconds=40))
    desk.wait(61)
    lost = Order.objects.get(state="filled")
    Order.objects.filter(pk=lost.pk).update(state="lost")
    Order.objects.filter(state__in=["accepted", "new"]).update(state="rejected", closed_at=desk.now)
    BrokerageAccount.objects.filter(user__username="bob").update(status="frozen")
    Instrument.objects.update(halted_at=desk.now)
    LedgerCheck.objects.create(ran_at=desk.now, differences=3, details=[])
    _difference()
    _parked()
    BrokerLink.objects.update(orders_at=None)
    seen = cards(support)
    assert {title: (card.value, card.tone) for title, card in seen.items()} == {
        "Kill switch": ("Off", "ok"),
        "Stuck orders": ("2", "bad"),  # the one that waits for the worker, and the lost one
        "Lost orders": ("1", "bad"),
        "Rejected today": ("1", "warn"),
        "Outbox": ("1", "bad"),
        "Parked work": ("1", "bad"),
        "Differences": ("1", "bad"),
        "Lines down": ("1", "bad"),
        "Ledger check": ("3 differences", "bad"),
        "Feed": ("Late", "bad"),
        "Worker": ("Late", "bad"),
        "Halted symbols": ("1", "warn"),
        "Frozen accounts": ("1", "warn"),
    }
    for title, count in {
        "Stuck orders": 2,
        "Lost orders": 1,
        "Rejected today": 1,
        "Outbox": 1,
        "Parked work": 1,
        "Differences": 1,
    }.items():
        listed = support.get(seen[title].url)
        assert listed.context["cl"].result_count == count, title
    assert support.get(seen["Halted symbols"].url).context["cl"].result_count == 1
    assert support.get(seen["Frozen accounts"].url).context["cl"].result_count == 1


def test_the_index_says_when_all_is_well(desk: Desk, support: Client):
    heartbeat("feed", desk.now)
    heartbeat("worker", desk.now)
    support.post("/admin/portfolio/ledgercheck/run/", {"reason": REASON})
    assert {card.tone for card in cards(support).values()} == {"ok"}
    desk.wait(3600)
    assert cards(support)["Ledger check"].tone == "warn"


def test_the_index_works_with_redis_away(support: Client, monkeypatch: pytest.MonkeyPatch):
    def away(*args: Any, **options: Any) -> None:
        raise redis.ConnectionError("nobody is there")

    monkeypatch.setattr(redis.Redis, "execute_command", away)
    assert cards(support)["Feed and worker"].words == "Redis is away."


def test_the_index_offers_no_act_that_is_not_allowed(viewer: Client):
    assert {card.act_url for card in cards(viewer).values()} == {""}


def test_ages_are_said_in_one_unit():
    said = [age_words(timedelta(seconds=s)) for s in (-1, 4, 119, 120, 7200, 86_400 * 3)]
    assert said == ["0 s", "4 s", "119 s", "2 min", "2 h", "3 days"]


# ── what it costs ────────────────────────────────────────────────────────────
def _many(desk: Desk, rows: int) -> None:
    """At least `rows` rows of whatever grows with trading, copied past the services."""
    users = User.objects.bulk_create(
        User(username=f"user{n}", email=f"user{n}@example.com") for n in range(rows)
    )
    now = desk.now
    accounts = BrokerageAccount.objects.bulk_create(
        BrokerageAccount(user=user, label="Paper", is_default=True, created_at=now)
        for user in users
    )
    for model in MODELS:
        template = model.objects.order_by("pk").first()
        if template is None or model in {User, BrokerageAccount, Instrument}:
            continue
        model.objects.bulk_create(
            [_copy(template, n, accounts) for n in range(rows)], ignore_conflicts=True
        )


def _copy(template: Any, number: int, accounts: list[BrokerageAccount]) -> Any:
    import uuid

    row = template.__class__.objects.get(pk=template.pk)
    row.pk = uuid.uuid4() if isinstance(template, TokenFamily) else None
    if hasattr(row, "brokerage_account_id"):
        row.brokerage_account = accounts[number]
    unique = {
        "client_order_id", "intent_key", "reference", "trade_id", "order_ref",
        "source_version", "target_version", "prefix",
    }  # fmt: skip
    for name in unique & {field.name for field in row._meta.concrete_fields}:
        old = getattr(row, name)
        setattr(row, name, f"{name}-{number}" if isinstance(old, str) else 10_000 + number)
    return row


def test_lists_of_two_hundred_rows_stay_within_the_query_budget(
    everything: dict[Any, Any], desk: Desk, support: Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(SupportAdmin, "list_per_page", 500)
    _many(desk, 200)
    crowded = 0
    for model in MODELS:
        with CaptureQueriesContext(connection) as queries:
            answer = support.get(page(model, "changelist"))
        assert answer.status_code == 200
        crowded += len(answer.context["cl"].result_list) >= 200
        assert len(queries) <= QUERY_BUDGET, f"{model}: {len(queries)} queries"
    assert crowded >= 10
    with CaptureQueriesContext(connection) as queries:
        support.get("/admin/")
    assert len(queries) <= QUERY_BUDGET


def test_an_order_with_a_long_life_stays_within_the_query_budget(desk: Desk, support: Client):
    order = Order.objects.get(state="filled")
    OrderEvent.objects.bulk_create(
        OrderEvent(
            order=order, at=desk.now, new_state="new", source="poll", actor=make_user(f"user{n}")
        )
        for n in range(30)
    )
    with CaptureQueriesContext(connection) as queries:
        support.get(page(Order, "change", order.pk))
    assert len(queries) <= QUERY_BUDGET


# ── how support staff come to be ─────────────────────────────────────────────
def test_the_demo_has_a_support_login_that_is_no_superuser(db: None, settings: Any):
    settings.DEMO_PASSWORD = PASSWORD
    market.instrument()
    call_command("seed_demo")
    call_command("seed_demo")
    user = User.objects.get(username="support")
    assert (user.is_staff, user.is_superuser) == (True, False)
    assert user.has_perms(settings.SUPPORT_ACTS)
    assert user.has_perm("portfolio.view_transfer")
    assert not user.has_perm("portfolio.add_transfer")
    assert not User.objects.get(username="demo").is_staff
    assert page_client(user).get("/admin/").status_code == 200


def test_a_command_appoints_the_first_of_a_new_house(alice: User, capsys: Any):
    call_command("support_grant", "alice", "She runs it.")
    assert page_client(User.objects.get(pk=alice.pk)).get("/admin/").status_code == 200
    call_command("support_grant", "alice@example.com", "She left.", "--revoke")
    outside = page_client(User.objects.get(pk=alice.pk)).get("/admin/", follow=True)
    assert outside.status_code == 403
    assert capsys.readouterr().out.splitlines() == [
        "alice works at the support desk.",
        "alice left the support desk.",
    ]


def test_rights_that_no_app_has_are_noticed(db: None, settings: Any):
    from django.core.exceptions import ImproperlyConfigured

    settings.SUPPORT_ACTS = ["trading.change_everything"]
    with pytest.raises(ImproperlyConfigured, match="change_everything"):
        support_group_ensure()
