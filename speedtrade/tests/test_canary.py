"""A canary of a broker key is connected, fails in every way, and is then looked for everywhere.

Pages, API answers, the admin, logs down to DEBUG with every statement, the file of all data,
`dumpdata` and every table as PostgreSQL copies it out.
"""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import api_keys
from accounts.models import ApiKey, BrokerageAccount, BrokerCredential
from accounts.services import connections, vendors
from accounts.services.credentials import credential_read
from accounts.services.syncs import account_fail
from speedtrade import urls
from speedtrade.lib.redis import redis_client
from speedtrade.lib.request_log import PREFIX
from speedtrade.testing.cast import (
    PASSWORD,
    ApiClient,
    account_of,
    make_superuser,
    page_client,
)
from speedtrade.testing.routes import ROUTES

assert urls.urlpatterns  # to load the addresses is what fills the admin's registry

API_KEY = "PKCANARYOFTHEAPIKEY0001"
SECRET = "canary-of-the-secret-key-7d1f"
PASSPHRASE = "canary-of-the-passphrase-9c2e"
OF_AN_API_KEY = "canaryOfTheApiKey-0123456789abcdefghijklmno"  # 43 characters, as 32 bytes have
CANARIES = (API_KEY, SECRET, PASSPHRASE)
KEY = {"api_key": API_KEY, "secret_key": SECRET, "passphrase": PASSPHRASE}
WISH = {"broker": "alpaca", "mode": "paper", **KEY}

Said = dict[str, str]


@pytest.fixture(autouse=True)
def _everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    for name in ("", "django", "django.db.backends", "accounts", "speedtrade"):
        caplog.set_level(logging.DEBUG, name)
    connection.force_debug_cursor = True  # each statement with its values, in the log
    yield
    connection.force_debug_cursor = False


def crash(*args: Any, **kwargs: Any) -> Any:
    """A bug of ours while a key is at hand."""
    account = kwargs.get("account") or args[0]
    key = kwargs.get("key") or credential_read(account)
    raise ValueError(f"It broke with {key} of {account}.")


def doors_lived(alice: Any, charlie: Any, monkeypatch: Any) -> tuple[Said, BrokerageAccount]:
    """The canary at every door, well and badly; what was answered."""
    script, browser, said = ApiClient(user=alice), page_client(alice), {}
    script.client.raise_request_exception = browser.raise_request_exception = False
    connect = "/settings/brokers/connect"

    def tell(name: str, answer: Any, status: int) -> Any:
        assert answer.status_code == status, (name, answer.content)
        said[name] = answer.content.decode()
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(connections, "credential_put", crash)
        tell("crashed", script.post("accounts", WISH), 500)
        tell("crashed on a page", browser.post(connect, WISH), 500)
    account_id = tell("connected", script.post("accounts", WISH), 201).json()["id"]
    account, path = BrokerageAccount.objects.get(pk=account_id), f"accounts/{account_id}"
    assert credential_read(account).secret_key == SECRET
    tell("twice", script.post("accounts", WISH), 422)
    tell("by another", ApiClient(user=charlie).post("accounts", WISH), 201)
    tell("twice", script.post("accounts", WISH), 422)
    tell("unconfirmed", script.post("accounts", {**WISH, "mode": "live"}), 422)
    tell("misplaced", script.post("accounts", {**WISH, "broker": [SECRET]}), 400)
    tell("broken", script.post("accounts", json.dumps(WISH)[:-1]), 400)
    tell("twice on a page", browser.post(connect, WISH), 422)
    tell("unconfirmed on a page", browser.post(connect, {**WISH, "mode": "live"}), 422)
    tell("misplaced on a page", browser.post(connect, {**WISH, "exchange": "x" * 99}), 422)
    bad = {**KEY, "api_key": f"{API_KEY} x"}
    tell("not a key on a page", browser.post(f"/settings/brokers/{account_id}/key", bad), 422)
    tell("without a token", Client(enforce_csrf_checks=True).post(connect, WISH), 403)
    tell("rekeyed", script("PUT", f"{path}/key", KEY), 200)
    tell("not a key", script("PUT", f"{path}/key", {**KEY, "api_key": f"{API_KEY} x"}), 422)
    monkeypatch.setattr(vendors, "_CHECKS", [crash])
    tell("tested", script.post(f"{path}/test"), 500)
    tell("changed", script("PATCH", path, {"label": "Mine", **KEY}), 200)
    account_fail(account_id=account_id, reason="The broker refused the key.", now=timezone.now())
    return said, account


def pages_said(user: Any, account: BrokerageAccount) -> Said:
    """Every page and every answer that can be read, of the paper account and of the new one."""
    said, script, browser = {}, ApiClient(user=user), page_client(user)
    for case in (case for cases in ROUTES.values() for case in cases):
        ids = {
            name: account.pk
            for name in ("account", "alert", "key", "order", "position", "watchlist")
        }
        address = case.address.format_map(ids)
        response = script.get(address) if case.json else browser.get(address)
        said[address] = text_of(response)
    return said


def admin_said(client: Client) -> Said:
    """Every list and every row of the admin."""
    said = {"/admin/": text_of(client.get("/admin/"))}
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        addresses = [reverse(f"{name}_changelist")]
        addresses += [reverse(f"{name}_change", args=[row.pk]) for row in model.objects.all()[:20]]
        said |= {address: text_of(client.get(address)) for address in addresses}
    return said


def text_of(response: Any) -> str:
    content = b"".join(response.streaming_content) if response.streaming else response.content
    return str(response.headers) + content.decode()


def stored() -> Said:
    """Every table as PostgreSQL writes it out, and as Django does."""
    said, dump = {}, io.StringIO()
    call_command("dumpdata", stdout=dump, verbosity=0)
    said["dumpdata"] = dump.getvalue()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            with cursor.copy(f'COPY "{table}" TO STDOUT') as copied:  # type: ignore[attr-defined]
                said[f"table {table}"] = b"".join(bytes(part) for part in copied).decode()
    return said


def hits(said: Said, canaries: tuple[str, ...] = CANARIES) -> list[str]:
    """Where a canary sings."""
    return [name for name, text in said.items() if any(canary in text for canary in canaries)]


def test_nobody_reads_a_key_anywhere(alice, charlie, monkeypatch, caplog, capfd):
    said, account = doors_lived(alice, charlie, monkeypatch)
    said |= pages_said(alice, account) | admin_said(page_client(make_superuser())) | stored()
    said |= {
        "repr": f"{account!r} {account} {account.credential!r} {credential_read(account)!r}",
        "records": "\n".join(
            f"{record.__dict__} {record.getMessage()}" for record in caplog.records
        ),
        "traces": caplog.text,
        "streams": "".join(capfd.readouterr()),
    }
    assert hits(said) == []
    # The search was no idle one: all of it was there to be found.
    assert "INSERT INTO" in said["records"] and "Traceback" in said["traces"]
    assert account.credential.ciphertext in said["table accounts_brokercredential"]
    assert "account.rekey" in said["table accounts_auditevent"]
    assert "The broker refused the key." in said["/settings/export"]
    assert len(said) > 150


def broken(user: Any) -> Any:
    raise ValueError(f"It broke for {user}.")


def test_an_api_key_is_on_one_page_once_and_nowhere_else(
    alice, charlie, monkeypatch, caplog, capfd
):
    monkeypatch.setattr(api_keys.secrets, "token_urlsafe", lambda size: OF_AN_API_KEY)
    browser = page_client(alice)
    wish = {"name": "Canary", "scope": "trade", "days": "9", "password": PASSWORD}
    shown = text_of(browser.post("/settings/developers/new", wish))
    key = ApiKey.objects.get()
    raw = f"{key.prefix}{OF_AN_API_KEY}"
    assert shown.count(raw) == 2  # to read and to copy
    said: Said = {"form again": text_of(browser.post("/settings/developers/new", wish))}
    for name, script in {
        "good": ApiClient(token=raw),
        "wrong": ApiClient(token=f"{raw}x"),
        "of another": ApiClient(token=f"stk_aaaaaaaa{OF_AN_API_KEY}"),
    }.items():
        for method, path in (("GET", "accounts"), ("POST", "orders"), ("GET", "auth/me")):
            said[f"{name} {path}"] = text_of(script(method, path, {}))
    script = ApiClient(token=raw)
    script.client.raise_request_exception = False
    with monkeypatch.context() as patch:
        patch.setattr("accounts.api.accounts_of", broken)
        said["crashed"] = text_of(script.get("accounts"))
    browser.post(f"/settings/developers/{key.pk}/revoke")
    said["revoked"] = text_of(script.get("accounts"))
    said |= pages_said(alice, account_of(alice)) | admin_said(page_client(make_superuser()))
    said |= stored()
    said["calls"] = str(redis_client().lrange(f"{PREFIX}{alice.pk}", 0, -1))
    said |= {
        "repr": f"{key!r} {key} {vars(key)}",
        "records": "\n".join(f"{row.__dict__} {row.getMessage()}" for row in caplog.records),
        "traces": caplog.text,
        "streams": "".join(capfd.readouterr()),
    }
    # Whoever has the whole line of a table has no more than a hash.
    assert hits(said, (OF_AN_API_KEY,)) == []
    assert key.digest in said["table accounts_apikey"] and key.prefix in said["calls"]
    assert "INSERT INTO" in said["records"] and "Traceback" in said["traces"]
    assert "Canary" in said["/settings/developers"] and "Canary" in said["/settings/export"]


def test_each_canary_that_gets_out_is_heard(alice, caplog):
    """The search shown: what holds a key somewhere is found there."""
    account, now = account_of(alice), timezone.now()
    for number, canary in enumerate(CANARIES):
        leaking = BrokerageAccount.objects.create(
            user=alice, label=f"Mine {canary}", broker="alpaca", created_at=now, connected_at=now
        )
        BrokerCredential.objects.create(
            brokerage_account=leaking, ciphertext=canary, fingerprint=str(number), created_at=now
        )
    said = pages_said(alice, account) | admin_said(page_client(make_superuser())) | stored()
    said["records"] = "\n".join(str(record.__dict__) for record in caplog.records)
    for canary in CANARIES:
        assert hits({"here": f"a {canary}.", "there": "nothing"}) == ["here"]
        assert {
            "/api/v1/accounts",
            "/settings/export",
            reverse("admin:accounts_brokerageaccount_changelist"),
            "dumpdata",
            "table accounts_brokercredential",
            "records",
        } <= set(hits(said, (canary,))), canary
