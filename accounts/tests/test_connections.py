"""Accounts at brokers: what can be connected, what is kept of a key, and how one goes again."""

import json
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.keys import BrokerKey
from accounts.models import AuditEvent, BrokerageAccount, BrokerCredential
from accounts.second_factor import factors_forget
from accounts.services import guards, vendors
from accounts.services.accounts import account_freeze
from accounts.services.closing import user_close
from accounts.services.connections import account_connect, account_disconnect, account_reconnect
from accounts.services.credentials import CredentialUnreadable, credential_read
from accounts.services.syncs import account_activate, account_fail, account_synced
from speedtrade.lib import live
from speedtrade.lib.errors import Conflict, DomainError
from speedtrade.testing.cast import PASSWORD, ApiClient, account_of, give_app, make_user
from speedtrade.testing.races import race

KEY = BrokerKey("PKTESTKEY0001", "secret-of-tests-" + "s" * 24)
ALPACA = {"broker": "alpaca", "mode": "paper", "api_key": KEY.api_key, "secret_key": KEY.secret_key}
LIVE = {**ALPACA, "mode": "live", "api_key": "AKLIVEKEY0001"}
KRAKEN = {**ALPACA, "broker": "ccxt", "exchange": "kraken", "mode": "live", "confirm_live": True}
OLD, NEW = "old-" + "o" * 40, "new-" + "n" * 40


@pytest.fixture
def alice(alice: Any) -> Any:
    """She has what a live account takes."""
    give_app(alice)
    return alice


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The accounts that the connector was told of."""
    told: list[int] = []
    monkeypatch.setattr(vendors, "_CONNECTORS", [told.append])
    monkeypatch.setattr(vendors, "_CHECKS", [])
    monkeypatch.setattr(guards, "_GUARDS", [])
    return told


def connect(user: Any, **changes: Any) -> BrokerageAccount:
    wish: dict[str, Any] = {"broker": "alpaca", "mode": "paper", "key": KEY, **changes}
    return account_connect(user=user, now=timezone.now(), **wish)


# ── connecting ───────────────────────────────────────────────────────────────
def test_an_account_is_connecting_with_its_key_sealed_and_the_connector_is_told(
    alice, woken, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        answer = ApiClient(user=alice).post("accounts", ALPACA)
    assert answer.status_code == 201, answer.json()
    told = answer.json()
    assert (told["broker"], told["mode"], told["status"]) == ("alpaca", "paper", "connecting")
    assert (told["label"], told["is_default"], told["day_cap"]) == ("Alpaca paper", False, None)
    assert KEY.api_key not in answer.content.decode() and KEY.secret_key not in str(told)
    account = BrokerageAccount.objects.get(pk=told["id"])
    assert woken == [account.pk] and account.connected_at
    assert credential_read(account) == KEY
    row = account.credential
    assert (row.key_hint, row.rotated_at) == ("0001", None)
    assert KEY.secret_key not in row.ciphertext and KEY.api_key not in repr(row) + str(row)
    event = AuditEvent.objects.get(target=f"account:{account.pk}")
    assert (event.actor, event.action) == (alice, "account.connect")
    assert event.data == {"broker": "alpaca", "exchange": "", "mode": "paper"}


def test_what_is_there_once_stays_after_a_connector_that_fails(
    alice, monkeypatch, django_capture_on_commit_callbacks
):
    monkeypatch.setattr(vendors, "_CONNECTORS", [lambda account_id: 1 // 0])
    with django_capture_on_commit_callbacks(execute=True):
        assert connect(alice).status == "connecting"


REFUSED = [
    ({"broker": "paper"}, {"broker": "broker_not_offered"}),
    ({"broker": "robinhood"}, {"broker": "broker_not_offered"}),
    ({"broker": ""}, None),
    ({"exchange": "kraken"}, {"exchange": "exchange_not_offered"}),
    ({"mode": "demo"}, {"mode": "mode_not_offered"}),
    ({"mode": ""}, {"mode": "mode_not_offered"}),
    ({"mode": "live"}, {"confirm_live": "live_not_confirmed"}),
    ({"mode": "live", "confirm_live": False}, {"confirm_live": "live_not_confirmed"}),
    ({"mode": "live", "confirm_live": "yes"}, {"confirm_live": "live_not_confirmed"}),
    ({"mode": "live", "confirm_live": "true"}, {"confirm_live": "live_not_confirmed"}),
    ({"mode": "live", "confirm_live": 1}, {"confirm_live": "live_not_confirmed"}),
    ({"broker": "ccxt"}, {"exchange": "exchange_not_offered"}),
    ({"broker": "ccxt", "exchange": "mtgox"}, {"exchange": "exchange_not_offered"}),
    ({"broker": "ccxt", "exchange": "../kraken"}, {"exchange": "exchange_not_offered"}),
    ({"broker": "ccxt", "exchange": "kraken"}, {"mode": "mode_not_offered"}),
    ({"api_key": "", "secret_key": " "}, {"api_key": "required", "secret_key": "required"}),
    ({"api_key": "two words"}, {"api_key": "invalid"}),
    ({"api_key": "line\r\nHost: x"}, {"api_key": "invalid"}),
    ({"api_key": "k" * 257}, {"api_key": "invalid"}),
    ({"secret_key": "gehöim"}, {"secret_key": "invalid"}),
    ({"secret_key": "s" * 4097}, {"secret_key": "invalid"}),
    ({"passphrase": "p" * 257}, {"passphrase": "invalid"}),
    ({"label": "x" * 61}, {"label": "invalid"}),
]


@pytest.mark.parametrize(("changes", "fields"), REFUSED)
def test_what_cannot_be_is_refused_with_a_sentence_for_each_field(alice, changes, fields):
    answer = ApiClient(user=alice).post("accounts", {**ALPACA, **changes})
    assert answer.status_code == (422 if fields else 400), answer.json()
    if fields:
        told = answer.json()
        assert {one["field"]: one["code"] for one in told["errors"]} == fields
        assert told["code"] == told["errors"][0]["code"]
        assert all(one["detail"].endswith(".") for one in told["errors"])
    assert BrokerageAccount.objects.filter(user=alice).count() == 1


def test_a_wrong_exchange_is_told_of_those_that_there_are(alice, settings):
    answer = ApiClient(user=alice).post("accounts", {**KRAKEN, "exchange": "mtgox"})
    assert all(name in answer.json()["detail"] for name in settings.CCXT_EXCHANGES)


def test_an_exchange_whose_accounts_could_trade_nothing_says_so(alice, settings):
    """Fails where Binance is offered: each order of its account would be refused."""
    for mode in ("paper", "live"):
        wish = {**KRAKEN, "exchange": "binance", "mode": mode, "confirm_live": True}
        answer = ApiClient(user=alice).post("accounts", wish)
        assert (answer.status_code, answer.json()["code"]) == (422, "exchange_not_offered")
        assert "keeps accounts in USDT" in answer.json()["detail"]
    assert not BrokerageAccount.objects.filter(user=alice, broker="ccxt").exists()


def test_a_body_that_cannot_be_understood_is_400(alice):
    script = ApiClient(user=alice)
    for changes in ({"broker": {}}, {"api_key": ["k"]}, {"secret_key": {"a": 1}}, {"mode": None}):
        answer = script.post("accounts", {**ALPACA, **changes})
        assert answer.status_code == 400, changes
    assert script.post("accounts", {}).status_code == 400
    nothing = dict.fromkeys(("exchange", "label", "passphrase", "confirm_live"))
    assert script.post("accounts", {**ALPACA, **nothing, "more": 1}).status_code == 201


@pytest.mark.parametrize("word", [True, "live", "LIVE", " Live "])
def test_real_money_is_confirmed_by_true_or_by_the_word(alice, word, settings):
    answer = ApiClient(user=alice).post("accounts", {**LIVE, "confirm_live": word})
    assert (answer.status_code, answer.json()["mode"]) == (201, "live")
    assert Decimal(answer.json()["day_cap"]) == settings.LIVE_DAY_CAP
    assert BrokerageAccount.objects.get(pk=answer.json()["id"]).is_live


def test_paper_at_an_exchange_needs_a_test_market_or_an_address_that_was_moved(alice, settings):
    settings.CCXT_URLS = {}
    settings.CCXT_EXCHANGES = ["kraken", *settings.CCXT_TEST_MARKETS]
    script, paper = ApiClient(user=alice), {**KRAKEN, "mode": "paper"}
    assert script.post("accounts", paper).status_code == 422
    for number, exchange in enumerate(settings.CCXT_TEST_MARKETS):
        wish = {**paper, "exchange": exchange, "api_key": f"sandbox-{number}"}
        assert script.post("accounts", wish).status_code == 201
    settings.CCXT_URLS = {"kraken": {"public": "http://127.0.0.1:9"}}
    answer = script.post("accounts", {**paper, "exchange": " Kraken "})
    assert (answer.status_code, answer.json()["exchange"]) == (201, "kraken")


def test_a_pem_secret_gets_its_lines_back(alice):
    pem = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQ+/\nabc==\n-----END EC PRIVATE KEY-----\n"
    for number, sent in enumerate((pem, pem.replace("\n", "\\n"), " ".join(pem.splitlines()))):
        account = connect(alice, key=BrokerKey(f"organizations/a/apiKeys/{number}", sent))
        assert credential_read(account).secret_key == pem


def test_so_many_accounts_and_no_more(alice, settings):
    settings.BROKER_ACCOUNTS_MAX = 1
    first = connect(alice)
    other = {**ALPACA, "api_key": "PKSECOND"}
    answer = ApiClient(user=alice).post("accounts", other)
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_accounts")
    account_disconnect(account=first, actor=alice, now=timezone.now())
    assert ApiClient(user=alice).post("accounts", other).status_code == 201


def test_keys_are_not_tried_in_rows(alice, charlie, settings):
    settings.RATE_CONNECT_PER_USER = "2/minute"
    script = ApiClient(user=alice)
    answers = [script.post("accounts", {**ALPACA, "api_key": f"PK{n}"}) for n in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert answers[2].headers["Retry-After"]
    assert ApiClient(user=charlie).post("accounts", ALPACA).status_code == 201


# ── one key, one account ─────────────────────────────────────────────────────
def test_a_key_serves_one_account_of_a_user(alice, charlie):
    give_app(charlie)
    connect(alice)
    answer = ApiClient(user=alice).post("accounts", ALPACA)
    assert (answer.status_code, answer.json()["code"]) == (422, "already_connected")
    # Who else has the key sees the same account at the broker, in books of their own.
    assert ApiClient(user=charlie).post("accounts", ALPACA).status_code == 201
    mistyped = {**ALPACA, "secret_key": "not-the-secret"}
    assert ApiClient(user=alice).post("accounts", mistyped).status_code == 201
    # Another market is another account at the broker, and so is another key.
    assert ApiClient(user=charlie).post("accounts", KRAKEN).status_code == 201
    other = {**ALPACA, "api_key": "PKTESTKEY0002"}
    assert ApiClient(user=charlie).post("accounts", other).status_code == 201


def test_a_key_that_was_given_back_can_be_connected_again(alice):
    account_disconnect(account=connect(alice), actor=alice, now=timezone.now())
    assert connect(alice).status == "connecting"


def test_a_key_is_known_again_while_the_field_keys_are_being_changed(alice, settings):
    settings.FIELD_KEYS = [OLD]
    connect(alice)
    settings.FIELD_KEYS = [NEW, OLD]
    assert ApiClient(user=alice).post("accounts", ALPACA).status_code == 422


@pytest.mark.django_db(transaction=True)
def test_of_two_who_connect_one_key_at_once_one_gets_it():
    alice = make_user("alice")

    def attempt() -> str:
        try:
            return connect(alice).status
        except DomainError as error:
            return error.code

    answers = race([attempt for _ in range(8)])
    assert sorted(answers) == sorted(["connecting", *["already_connected"] * 7])
    assert BrokerCredential.objects.count() == 1
    assert BrokerageAccount.objects.exclude(broker="paper").count() == 1


# ── what is kept of a key ────────────────────────────────────────────────────
def test_a_ciphertext_in_another_row_or_mode_opens_nothing(alice, charlie):
    mine, theirs = connect(alice), connect(charlie, key=BrokerKey("PKTHEIRS", "t" * 40))
    BrokerCredential.objects.filter(brokerage_account=theirs).update(
        ciphertext=mine.credential.ciphertext
    )
    with pytest.raises(CredentialUnreadable):
        credential_read(theirs)
    BrokerageAccount.objects.filter(pk=mine.pk).update(mode="live")
    mine.refresh_from_db()
    with pytest.raises(CredentialUnreadable):
        credential_read(mine)
    BrokerageAccount.objects.filter(pk=mine.pk).update(mode="paper", user=charlie)
    with pytest.raises(CredentialUnreadable):
        credential_read(BrokerageAccount.objects.get(pk=mine.pk))


def test_a_key_that_cannot_be_opened_is_an_error_and_never_a_value(alice, settings):
    account = connect(alice)
    settings.FIELD_KEYS = [NEW]
    with pytest.raises(CredentialUnreadable) as refused:
        credential_read(account)
    assert account.credential.ciphertext not in str(refused.value)
    with pytest.raises(CredentialUnreadable):
        credential_read(account_of(alice))


def test_rotation_seals_every_key_with_the_first(alice, charlie, settings, capsys):
    settings.FIELD_KEYS = [OLD]
    accounts = [connect(alice), connect(charlie, key=BrokerKey("PKTHEIRS", "t" * 40))]
    before = {row.pk: row.ciphertext for row in BrokerCredential.objects.all()}
    settings.FIELD_KEYS = [NEW, OLD]
    call_command("rotate_broker_keys")
    assert capsys.readouterr().out.startswith("2 keys are sealed")
    settings.FIELD_KEYS = [NEW]
    assert credential_read(accounts[0]) == KEY
    assert credential_read(accounts[1]).api_key == "PKTHEIRS"
    for row in BrokerCredential.objects.all():
        assert row.ciphertext != before[row.pk] and row.rotated_at
    # The fingerprint was made anew as well: the key still serves one account.
    assert ApiClient(user=alice).post("accounts", ALPACA).status_code == 422


def test_rotation_leaves_what_it_cannot_open_and_says_so(alice, charlie, settings):
    settings.FIELD_KEYS = [OLD]
    lost = connect(alice)
    settings.FIELD_KEYS = [NEW]
    kept = connect(charlie, key=BrokerKey("PKTHEIRS", "t" * 40))
    with pytest.raises(CommandError, match=rf"accounts {lost.pk}\."):
        call_command("rotate_broker_keys")
    assert credential_read(kept).api_key == "PKTHEIRS"
    settings.FIELD_KEYS = [OLD]
    assert credential_read(lost) == KEY


# ── a new key ────────────────────────────────────────────────────────────────
def test_an_account_in_error_gets_a_new_key(alice, woken, django_capture_on_commit_callbacks):
    account, now = connect(alice), timezone.now()
    assert account_fail(account_id=account.pk, reason="Wrong key.", now=now)
    path, wish = f"accounts/{account.pk}/key", {"api_key": "PKNEW", "secret_key": "n" * 40}
    with django_capture_on_commit_callbacks(execute=True):
        answer = ApiClient(user=alice)("PUT", path, wish)
    assert answer.status_code == 200 and woken == [account.pk]
    assert (answer.json()["status"], answer.json()["status_reason"]) == ("connecting", "")
    account.refresh_from_db()
    assert credential_read(account).api_key == "PKNEW"
    # The old key is free again, the new one is not.
    assert connect(alice).status == "connecting"
    with pytest.raises(DomainError, match="connected already"):
        connect(alice, key=BrokerKey("PKNEW", "n" * 40))
    assert ApiClient(user=alice)("PUT", path, {"api_key": ""}).status_code == 422
    assert ApiClient(user=alice)("PUT", path, ALPACA).status_code == 422


def test_a_live_account_gets_a_new_key_of_who_has_a_second_factor(alice):
    live_account = connect(alice, mode="live", confirm_live=True)
    paper = connect(alice, key=BrokerKey("PKOTHER", "o" * 40))
    factors_forget(alice)
    script, fresh = ApiClient(user=alice), {"api_key": "PKNEW", "secret_key": "n" * 40}
    answer = script("PUT", f"accounts/{live_account.pk}/key", fresh)
    assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_missing")
    assert credential_read(live_account) == KEY
    assert script("PUT", f"accounts/{paper.pk}/key", fresh).status_code == 200


def test_no_new_key_for_what_is_frozen_gone_or_paper(alice, bob):
    account, now = connect(alice), timezone.now()
    account_activate(account_id=account.pk, now=now)
    account_freeze(account_id=account.pk, actor=bob, reason="odd", now=now)
    fresh = BrokerKey("PKNEW", "n" * 40)
    for one in (account, account_of(alice)):
        with pytest.raises(Conflict):
            account_reconnect(account=one, key=fresh, actor=alice, now=now)
    with pytest.raises(Conflict, match="frozen"):
        account_disconnect(account=account, actor=alice, now=now)
    assert credential_read(account) == KEY


# ── letting it go ────────────────────────────────────────────────────────────
def test_disconnecting_forgets_the_key_and_keeps_the_account_to_be_read(alice):
    account, script = connect(alice), ApiClient(user=alice)
    path = f"accounts/{account.pk}"
    account_activate(account_id=account.pk, now=timezone.now())
    assert script("PATCH", path, {"is_default": True}).status_code == 200
    assert script("DELETE", path).status_code == 204
    assert script("DELETE", path).status_code == 204  # it is so already
    told = script.get(path).json()
    assert (told["status"], told["is_default"]) == ("disconnected", False)
    assert account_of(alice).broker == "paper"
    assert not BrokerCredential.objects.exists()
    assert script("PATCH", path, {"is_default": True}).status_code == 409
    assert script.post(f"{path}/test").status_code == 409
    assert not account_activate(account_id=account.pk, now=timezone.now())
    actions = AuditEvent.objects.filter(target=f"account:{account.pk}").values_list("action")
    assert [one[0] for one in actions.order_by("id")].count("account.disconnect") == 1


def test_an_account_with_open_orders_stays(alice, monkeypatch):
    account = connect(alice)
    monkeypatch.setattr(guards, "_GUARDS", [lambda one: f"Order of {one.pk} is open."])
    answer = ApiClient(user=alice)("DELETE", f"accounts/{account.pk}")
    assert (answer.status_code, answer.json()["detail"]) == (409, f"Order of {account.pk} is open.")
    assert credential_read(account) == KEY


def test_who_leaves_leaves_no_key_behind(alice, bob):
    now = timezone.now()
    account, frozen = connect(alice), connect(alice, key=BrokerKey("PKTWO", "t" * 40))
    account_activate(account_id=frozen.pk, now=now)
    account_freeze(account_id=frozen.pk, actor=bob, reason="odd", now=now)
    user_close(user=alice, username="alice", password=PASSWORD, now=now)
    assert not BrokerCredential.objects.exists()
    statuses = {row.pk: row.status for row in BrokerageAccount.objects.filter(user=alice)}
    assert statuses[account.pk] == "disconnected" and statuses[frozen.pk] == "frozen"


# ── what reading the broker says ─────────────────────────────────────────────
def test_a_sync_turns_the_account_active_or_says_why_not(alice):
    account, now = connect(alice), timezone.now()
    assert account_activate(account_id=account.pk, now=now)
    account.refresh_from_db()
    assert account.status == "active"
    assert account_fail(account_id=account.pk, reason=" r" * 300, now=now)
    account.refresh_from_db()
    assert account.status == "error" and len(account.status_reason) == 200
    account_synced(account_id=account.pk, now=now)
    account_synced(account_id=account.pk, now=now.replace(year=2020))
    account.refresh_from_db()
    assert account.last_synced_at == now
    actions = list(
        AuditEvent.objects.filter(target=f"account:{account.pk}", actor=None)
        .order_by("id")
        .values_list("action", flat=True)
    )
    assert actions == ["account.active", "account.error"]


def test_a_sync_does_not_thaw_what_support_froze_nor_touch_paper(alice, bob):
    account, now = connect(alice), timezone.now()
    account_activate(account_id=account.pk, now=now)
    account_freeze(account_id=account.pk, actor=bob, reason="odd", now=now)
    for one in (account, account_of(alice)):
        assert not account_activate(account_id=one.pk, now=now)
        assert not account_fail(account_id=one.pk, reason="x", now=now)
    account.refresh_from_db()
    assert (account.status, account.status_reason) == ("frozen", "odd")
    assert account_of(alice).status == "active"


def test_browsers_are_told_of_their_own_accounts_and_without_a_key(alice, charlie):
    account = connect(alice)
    told = live.render_event("account", alice.pk, account.pk)
    assert told["type"] == "account" and told["account"]["status"] == "connecting"
    assert told["account"] == ApiClient(user=alice).get(f"accounts/{account.pk}").json()
    json.dumps(told)
    assert live.render_event("account", charlie.pk, account.pk) is None


def test_every_change_is_published(alice, bob, monkeypatch, django_capture_on_commit_callbacks):
    sent = []
    monkeypatch.setattr(live, "_send", lambda *event: sent.append(event))
    now, script = timezone.now(), ApiClient(user=alice)
    with django_capture_on_commit_callbacks(execute=True):
        account = connect(alice)
    steps = [
        lambda: account_fail(account_id=account.pk, reason="Wrong.", now=now),
        lambda: account_reconnect(
            account=account, key=BrokerKey("PKNEW", "n" * 40), actor=alice, now=now
        ),
        lambda: account_activate(account_id=account.pk, now=now),
        lambda: account_synced(account_id=account.pk, now=now),
        lambda: script.post(f"accounts/{account.pk}/stop"),
        lambda: script.post(f"accounts/{account.pk}/resume"),
        lambda: script("PATCH", f"accounts/{account.pk}", {"day_cap": "1"}),
        lambda: account_disconnect(account=account, actor=alice, now=now),
    ]
    for number, step in enumerate(steps, start=2):
        with django_capture_on_commit_callbacks(execute=True):
            step()
        assert sent == [(live.user_group(alice.pk), "account", account.pk, None)] * number


# ── the owner's own limits ───────────────────────────────────────────────────
def test_the_owner_stops_an_account_and_lets_it_go_on(alice, charlie):
    account, script = account_of(alice), ApiClient(user=alice)
    for _ in range(2):
        told = script.post(f"accounts/{account.pk}/stop").json()
        assert told["stopped_at"] and told["status"] == "active"
    for _ in range(2):
        assert script.post(f"accounts/{account.pk}/resume").json()["stopped_at"] is None
    rows = AuditEvent.objects.filter(target=f"account:{account.pk}").order_by("id")
    assert [row.action for row in rows] == ["account.stop", "account.resume"]


def test_the_cap_of_a_day_is_the_owners(alice):
    script, live = ApiClient(user=alice), connect(alice, mode="live", confirm_live="LIVE")
    path = f"accounts/{live.pk}"
    assert script("PATCH", path, {"day_cap": "250.5"}).json()["day_cap"] == "250.50"
    for wrong in ("-1", "NaN", "1e5", "", None, "9" * 18, "complex", 250.5):
        answer = script("PATCH", path, {"day_cap": wrong})
        assert answer.status_code == 400, wrong
        assert answer.json()["errors"][0]["field"] == "day_cap"
    live.refresh_from_db()
    assert live.day_cap == Decimal("250.5")
    paper = f"accounts/{account_of(alice).pk}"
    assert script("PATCH", paper, {"day_cap": "1"}).json()["day_cap"] == "1.00"
    raised = {"day_cap": None, "label": "P", "password": PASSWORD}
    assert script("PATCH", paper, raised).json()["day_cap"] is None


def test_what_a_key_may_do_is_asked_of_the_broker(alice, monkeypatch):
    account, script = connect(alice), ApiClient(user=alice)
    path = f"accounts/{account.pk}/test"
    assert script.post(path).status_code == 503  # nobody here can ask
    monkeypatch.setattr(vendors, "_CHECKS", [lambda one: f"The key of {one.label} may trade."])
    answer = script.post(path)
    assert (answer.status_code, answer.json()) == (
        200,
        {"detail": "The key of Alpaca paper may trade."},
    )
    assert script.post(f"accounts/{account_of(alice).pk}/test").status_code == 409


# ── whose it is, and what the database says ──────────────────────────────────
@pytest.mark.parametrize(
    ("method", "tail"),
    [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("PUT", "/key")]
    + [("POST", f"/{act}") for act in ("test", "stop", "resume")],
)
def test_another_users_account_is_not_there(alice, charlie, method, tail):
    account = connect(alice)
    answer = ApiClient(user=charlie)(method, f"accounts/{account.pk}{tail}", {"api_key": "PKX"})
    assert answer.status_code == 404
    account.refresh_from_db()
    assert (account.status, account.stopped_at) == ("connecting", None)
    assert credential_read(account) == KEY


@pytest.mark.parametrize(
    "fields",
    [
        {"broker": "paper", "mode": "live"},
        {"broker": "ccxt", "exchange": ""},
        {"broker": "alpaca", "exchange": "kraken"},
        {"broker": "alpaca", "day_cap": Decimal(-1)},
        {"broker": "alpaca", "status": "disconnected", "is_default": True},
    ],
)
def test_the_database_refuses_what_must_never_be(charlie, fields):
    BrokerageAccount.objects.filter(user=charlie).update(is_default=False)
    with pytest.raises(IntegrityError), transaction.atomic():
        BrokerageAccount.objects.create(
            user=charlie, label="Bad", created_at=timezone.now(), **fields
        )


def test_the_database_keeps_a_key_once_whatever_the_code_says(alice, charlie):
    first, second = connect(alice), connect(charlie, key=BrokerKey("PKTWO", "t" * 40))
    with pytest.raises(IntegrityError), transaction.atomic():
        BrokerCredential.objects.filter(brokerage_account=second).update(
            fingerprint=first.credential.fingerprint
        )
