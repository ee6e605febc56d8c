"""Pages of broker accounts, and which account every page is about."""

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.keys import BrokerKey
from accounts.models import BrokerageAccount
from accounts.services import guards, vendors
from accounts.services.connections import account_connect
from accounts.services.credentials import credential_read
from accounts.services.syncs import account_activate, account_fail, account_synced
from speedtrade.testing.cast import account_of, give_app, page_client

KEY = {"api_key": "PKCANARYOFPAGES", "secret_key": "canary-of-pages-secret"}
ALPACA = {"broker": "alpaca", "mode": "paper", **KEY}
KRAKEN = {**ALPACA, "broker": "ccxt", "exchange": "kraken", "mode": "live", "confirm_live": "Live"}
PAGES = ("/dashboard", "/portfolio", "/activity", "/statements", "/orders", "/settings", "/markets")


@pytest.fixture
def alice(alice: Any) -> Any:
    """She has what a live account takes."""
    give_app(alice)
    return alice


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((vendors, "_CONNECTORS"), (vendors, "_CHECKS"), (guards, "_GUARDS")):
        monkeypatch.setattr(module, name, [])


@pytest.fixture
def web(alice: Any) -> Client:
    return page_client(alice)


def connect(user: Any, mode: str = "paper", **changes: Any) -> BrokerageAccount:
    now = timezone.now()
    key = BrokerKey(f"PK{mode}{user.pk}{changes.get('exchange', '')}", "s" * 40)
    wish = {"broker": "alpaca", "key": key, "confirm_live": True, **changes}
    account = account_connect(user=user, mode=mode, now=now, **wish)
    account_activate(account_id=account.pk, now=now)
    account.refresh_from_db()
    return account


# ── connecting ───────────────────────────────────────────────────────────────
def test_who_has_no_broker_is_shown_the_way(web: Client):
    page = web.get("/settings/brokers").content.decode()
    assert "No broker is connected" in page and "/settings/brokers/connect" in page
    assert (
        "Choose where you have an account." in web.get("/settings/brokers/connect").content.decode()
    )


def test_the_fields_follow_the_broker_and_secrets_are_not_kept(web: Client):
    alpaca = web.get("/settings/brokers/connect?broker=alpaca").content.decode()
    ccxt = web.get("/settings/brokers/connect?broker=ccxt").content.decode()
    assert 'name="exchange"' not in alpaca and 'name="passphrase"' not in alpaca
    assert all(f'value="{name}"' in ccxt for name in ("kraken", "coinbase"))
    assert "binance" not in ccxt.lower()
    for page, names in ((alpaca, KEY), (ccxt, (*KEY, "passphrase"))):
        for name in names:
            (field,) = re.findall(rf'<input[^>]*name="{name}"[^>]*>', page)
            assert 'type="password"' in field and 'autocomplete="off"' in field
            assert "value=" not in field


@pytest.mark.parametrize("wish", [ALPACA, KRAKEN])
def test_a_key_is_connected_on_a_page(alice: Any, web: Client, wish: dict[str, str]):
    answer = web.post("/settings/brokers/connect", wish)
    account = BrokerageAccount.objects.exclude(broker="paper").get(user=alice)
    assert (answer.status_code, answer.url) == (303, f"/settings/brokers/{account.pk}")
    assert credential_read(account).secret_key == KEY["secret_key"]
    page = web.get(answer.url).content.decode()
    assert "Connecting" in page and "every 2s" in page and "ends in AGES" in page
    assert not any(canary in page for canary in KEY.values())


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({**ALPACA, "mode": "live"}, "This is real money."),
        ({**KRAKEN, "mode": "paper"}, "Kraken has no test market"),
        ({**ALPACA, "api_key": "PKCANARYOFPAGES x"}, "This is no key"),
        ({**ALPACA, "secret_key": ""}, "This field is required."),
        ({**ALPACA, "label": "x" * 61}, "at most 60"),
        ({**ALPACA, "broker": "robinhood"}, "Choose where you have an account."),
    ],
)
def test_after_an_error_nothing_of_a_key_is_in_the_page(web: Client, wish: Any, said: str):
    answer = web.post("/settings/brokers/connect", wish)
    page = answer.content.decode()
    assert answer.status_code == 422 and said in page
    assert not any(canary in page for canary in KEY.values())
    assert BrokerageAccount.objects.count() == 1


def test_a_key_that_is_in_use_is_refused_on_the_page_too(alice: Any, web: Client):
    assert web.post("/settings/brokers/connect", ALPACA).status_code == 303
    answer = web.post("/settings/brokers/connect", ALPACA)
    assert answer.status_code == 422 and "This key is connected already" in answer.content.decode()


# ── one account ──────────────────────────────────────────────────────────────
def test_the_list_says_how_each_account_is(alice: Any, web: Client):
    account, now = connect(alice), timezone.now()
    page = web.get("/settings/brokers").content.decode()
    assert "not read yet" in page and "every 2s" not in page and "ALPACA PAPER" in page
    account_synced(account_id=account.pk, now=now)
    account_fail(account_id=account.pk, reason="Alpaca refuses the key.", now=now)
    for address in ("/settings/brokers", f"/settings/brokers/{account.pk}"):
        page = web.get(address, headers={"HX-Request": "true"}).content.decode()
        assert "Alpaca refuses the key." in page and "<html" not in page
        assert "st:account from:body" in page


def test_an_owner_acts_on_their_account(alice: Any, web: Client, monkeypatch: Any):
    account = connect(alice, "live")
    path = f"/settings/brokers/{account.pk}"

    def act(name: str, **data: str) -> str:
        answer = web.post(f"{path}/{name}", data)
        assert (answer.status_code, answer.url) == (303, path)
        account.refresh_from_db()
        return web.get(path).content.decode()

    assert "Nobody here can ask a broker." in act("test")
    monkeypatch.setattr(vendors, "_CHECKS", [lambda one: "The key may read and trade."])
    assert "The key may read and trade." in act("test")
    assert "Stopped" in act("stop") and account.stopped_at
    assert "takes new orders again" in act("resume") and account.stopped_at is None
    assert "Saved." in act("change", label="Savings") and account.label == "Savings"
    assert "connecting" in act("key", **{**KEY, "api_key": "PKNEWKEY"})
    assert credential_read(account).api_key == "PKNEWKEY"
    monkeypatch.setattr(guards, "_GUARDS", [lambda one: "An order of yours is open."])
    assert "An order of yours is open." in act("disconnect") and account.status == "connecting"
    monkeypatch.setattr(guards, "_GUARDS", [])
    page = act("disconnect")
    assert account.status == "disconnected" and "Its key is deleted." in page
    assert f"{path}/key" not in page and f"{path}/stop" not in page


def test_what_cannot_be_is_said_beside_its_field(alice: Any, web: Client):
    path = f"/settings/brokers/{connect(alice, 'live').pk}"
    answer = web.post(f"{path}/change", {"label": ""})
    assert answer.status_code == 422 and 'class="err' in answer.content.decode()
    answer = web.post(f"{path}/key", {**KEY, "api_key": "PK CANARY"})
    assert answer.status_code == 422 and KEY["secret_key"] not in answer.content.decode()


# ── which account a page is about ────────────────────────────────────────────
def test_with_one_account_there_is_nothing_to_choose(web: Client):
    page = web.get("/dashboard").content.decode()
    assert '<span class="paper"' in page and "settings/brokers/choose" not in page


def test_every_page_is_about_the_account_that_was_chosen(alice: Any, web: Client):
    paper, live, outside = account_of(alice), connect(alice, "live"), connect(alice)
    for account, marks in (
        (paper, ("PAPER", 'class="paper"')),
        (outside, ("ALPACA PAPER", 'class="paper outside"')),
        (live, ("LIVE", 'class="live-mark"')),
    ):
        data = {"account_id": account.pk, "next": "/orders"}
        answer = web.post("/settings/brokers/choose", data)
        assert (answer.status_code, answer.url) == (303, "/orders")
        for address in PAGES:
            page = web.get(address).content.decode()
            summary = re.search(r"<summary aria-label=\"Account.*?</summary>", page, re.DOTALL)
            assert summary and all(mark in summary[0] for mark in marks), address
            assert (f'data-account="{account.pk}"') in page
            assert ('class="shell live"' in page) is (account is live), address
            assert ("Real money at Alpaca." in page) is (account is live), address
    assert account_of(alice) == paper, "programs go on with the default account"


def test_a_choice_beside_a_refused_form_leads_to_a_page_that_there_is(alice: Any, web: Client):
    connect(alice)
    refused = web.post("/settings/profile", {"email": "no address"})
    form = re.search(r'<form class="menu-panel".*?</form>', refused.content.decode(), re.DOTALL)
    assert refused.status_code == 422 and form
    given = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[0]))
    answer = web.post("/settings/brokers/choose", given)
    assert answer.status_code == 303 and web.get(answer.url).status_code == 200


@pytest.mark.parametrize("address", ["/settings/profile", "/settings/limits", "/orders/5/replace"])
def test_who_looks_at_an_address_of_a_form_sees_a_page(alice: Any, web: Client, address: str):
    connect(alice)
    answer = web.get(address)
    page = answer.content.decode()
    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert "has no page of its own" in page and 'class="shell' in page
    assert f'value="{address}"' not in page, "the choice of an account must not lead back"
    assert web.head(address).content == b"" and web.put(address).content == b""


def test_a_choice_leads_nowhere_else_and_to_no_account_of_others(
    alice: Any, charlie: Any, web: Client
):
    mine = {"account_id": connect(alice).pk}
    theirs = {"account_id": connect(charlie).pk}
    answer = web.post("/settings/brokers/choose", {**mine, "next": "https://evil.example/"})
    assert answer.url == "/dashboard"
    assert web.post("/settings/brokers/choose", theirs).status_code == 404
    assert (
        web.get("/dashboard", headers={"X-Account": str(theirs["account_id"])}).status_code == 404
    )
    assert web.get(f"/dashboard?account_id={theirs['account_id']}").status_code == 404
    assert web.get("/dashboard?account_id=x").status_code == 404


def test_what_a_page_asks_for_is_about_its_own_account(alice: Any, web: Client):
    """Another account was chosen in a second window: this page must not change sides."""
    paper, live = account_of(alice), connect(alice, "live")
    web.post("/settings/brokers/choose", {"account_id": live.pk})
    part = web.get("/dashboard", headers={"X-Account": str(paper.pk), "HX-Request": "true"})
    assert part.context["account"] == paper
    answer = web.post("/transfers", {"account_id": paper.pk, "direction": "deposit", "amount": ""})
    assert answer.status_code == 422 and answer.context["account"] == paper
    assert web.get("/dashboard").context["account"] == live


def test_an_account_that_cannot_trade_says_why_where_it_is_shown(alice: Any, web: Client):
    account, now = connect(alice), timezone.now()
    web.post("/settings/brokers/choose", {"account_id": account.pk})
    account_fail(account_id=account.pk, reason="The key is wrong.", now=now)
    assert "The key is wrong." in web.get("/portfolio").content.decode()
    web.post(f"/settings/brokers/{account.pk}/disconnect")
    assert "This account is disconnected." in web.get("/portfolio").content.decode()
    web.post("/settings/brokers/choose", {"account_id": account_of(alice).pk})
    web.post(f"/settings/brokers/{account_of(alice).pk}/stop")
    assert "You have stopped this account." in web.get("/portfolio").content.decode()


def test_another_users_account_has_no_page(alice: Any, charlie: Any):
    account, stranger = connect(alice), page_client(charlie)
    path = f"/settings/brokers/{account.pk}"
    assert stranger.get(path).status_code == 404
    for act in ("test", "stop", "resume", "change", "key", "disconnect"):
        assert stranger.post(f"{path}/{act}", {**KEY, "label": "x"}).status_code == 404
    account.refresh_from_db()
    assert (account.status, account.stopped_at) == ("active", None)
