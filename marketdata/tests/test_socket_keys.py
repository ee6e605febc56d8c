"""A program opens the socket with an API key: what it hears, and when it is put out."""

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from accounts.models import BrokerageAccount
from accounts.services.api_keys import key_revoke
from accounts.tests.test_api_keys import make_key
from marketdata.tests import test_socket
from marketdata.tests.test_socket import Socket, announce, connected, refused
from speedtrade.lib import live
from speedtrade.testing.cast import make_user

pytestmark = pytest.mark.django_db(transaction=True)
_clean_up = test_socket._clean_up  # each of these has a loop of its own
quick_recheck = test_socket.quick_recheck
book = test_socket.book


@pytest.fixture
def alice(db):
    return make_user("alice")


def two_accounts(user):
    """(the default account, another one) of this user."""
    here = BrokerageAccount.objects.get(user=user)
    there = BrokerageAccount.objects.create(
        user=user, label="There", broker="alpaca", created_at=timezone.now()
    )
    return here, there


async def test_a_key_opens_the_socket_as_a_token_does(alice):
    _, raw = await sync_to_async(make_key)(alice, scope="read")
    async with connected(token=raw, origin="") as socket:
        await socket.say("ping")
        await socket.hear("pong")
    assert await refused(token=f"{raw[:-1]}!", origin="") == 4401


async def test_a_key_in_the_address_is_not_even_read(alice):
    _, raw = await sync_to_async(make_key)(alice)
    assert await refused(path=f"/ws?token={raw}") == 4401


async def test_a_key_that_names_its_addresses_is_asked_for_its_own(alice):
    _, raw = await sync_to_async(make_key)(alice, networks="203.0.113.7")
    assert await refused(token=raw, origin="") == 4401  # nobody knows from where
    for address, welcome in (("203.0.113.7", True), ("203.0.113.8", False)):
        socket = Socket(token=raw, origin="")
        socket.scope["client"] = [address, 40_000]
        accepted, _ = await socket.connect(timeout=3)
        assert accepted is welcome
        await socket.disconnect()


async def test_a_revoked_key_closes_its_socket(alice, quick_recheck):
    key, raw = await sync_to_async(make_key)(alice)
    async with connected(token=raw, origin="") as socket:
        await sync_to_async(key_revoke)(user=alice, key_id=key.pk, now=timezone.now())
        assert await socket.closed() == 4401


async def test_a_bound_key_hears_of_its_account_alone(alice, monkeypatch):
    here, there = await sync_to_async(two_accounts)(alice)
    _, raw = await sync_to_async(make_key)(alice, account_id=there.pk)
    monkeypatch.setattr(live, "_RENDERERS", {})
    for kind in ("order", "portfolio"):
        live.register_renderer(
            kind,
            lambda user_id, thing_id, kind=kind: {"type": kind, kind: {"account_id": thing_id}},
        )
    live.register_renderer(
        "account", lambda user_id, thing_id: {"type": "account", "account": {"id": thing_id}}
    )
    async with connected(token=raw, origin="") as socket:
        for kind in ("order", "portfolio", "account"):
            await announce(alice.pk, kind, here.pk)
            await announce(alice.pk, kind, there.pk)
            message = await socket.hear(kind)
            assert there.pk in message[kind].values(), kind
        await socket.say("ping")
        await socket.hear("pong")


async def test_a_bound_key_hears_of_no_alert(alice, monkeypatch):
    """It belongs to a person and to no account."""
    here, _ = await sync_to_async(two_accounts)(alice)
    _, raw = await sync_to_async(make_key)(alice, account_id=here.pk)
    monkeypatch.setattr(live, "_RENDERERS", {})
    live.register_renderer("alert", lambda user_id, thing_id: {"type": "alert", "id": thing_id})
    live.register_renderer(
        "order", lambda user_id, thing_id: {"type": "order", "order": {"account_id": thing_id}}
    )
    async with connected(token=raw, origin="") as socket:
        await announce(alice.pk, "alert", 7)
        await announce(alice.pk, "order", here.pk)
        assert (await socket.receive_json_from(timeout=3.0))["type"] == "order"


async def test_a_bound_key_follows_the_portfolio_of_its_account_alone(alice, book):
    here, there = await sync_to_async(two_accounts)(alice)
    _, raw = await sync_to_async(make_key)(alice, account_id=there.pk)
    async with connected(token=raw, origin="") as socket:
        await socket.say("subscribe", symbols=[], portfolio=here.pk)
        assert (await socket.hear("error"))["code"] == "not_found"
        await socket.say("subscribe", symbols=[], portfolio=True)
        await socket.hear("portfolio")
        assert book.asked == [there.pk]
