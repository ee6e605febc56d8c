"""The door at /ws, through the real routing, session and token."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.db import connections
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.tokens import tokens_issue, tokens_revoke
from marketdata import quote_store
from marketdata.consumers import MarketConsumer
from marketdata.lobby import lobby_here
from marketdata.routing import websocket_application
from marketdata.tests.factories import make_instrument, make_quote
from speedtrade.lib import live

pytestmark = pytest.mark.django_db(transaction=True)
ORIGIN = "http://localhost"


@pytest.fixture(autouse=True)
async def _clean_up():
    """End the loop's lobby and the database connection of the thread that sockets use."""
    yield
    await lobby_here().stop()
    await sync_to_async(connections.close_all)()


@pytest.fixture
def priced(user):
    """AAPL and BTC/USD with a price of this moment."""
    for symbol, last in (("AAPL", "200.00"), ("BTC/USD", "64000.10")):
        make_instrument(symbol)
        put(symbol, last)


@pytest.fixture
def session(user):
    """A browser that is logged in."""
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def bearer(user):
    return tokens_issue(user=user, now=timezone.now()).access_token


def put(symbol, last):
    quote_store.quotes_put([make_quote(symbol, last, at=datetime.now(UTC))])


class Socket(WebsocketCommunicator):
    """A client that speaks JSON."""

    def __init__(self, *, path="/ws", session=None, token="", origin=ORIGIN, host="localhost"):
        headers = [(b"host", host.encode())]
        if origin:
            headers.append((b"origin", origin.encode()))
        if session is not None:
            cookie = f"sessionid={session.cookies['sessionid'].value}"
            headers.append((b"cookie", cookie.encode()))
        if token:
            headers.append((b"authorization", f"Bearer {token}".encode()))
        super().__init__(websocket_application, path, headers=headers)

    async def say(self, action="", **more):
        await self.send_to(text_data=json.dumps({"action": action, **more}))

    async def hear(self, kind, seconds=3.0):
        """The next message of this kind; others are passed over."""
        async with asyncio.timeout(seconds):
            while True:
                message = await self.receive_json_from(timeout=seconds)
                if message["type"] == kind:
                    return message

    async def closed(self, seconds=3.0):
        """The code it was closed with; messages before are passed over."""
        async with asyncio.timeout(seconds):
            while True:
                output = await self.receive_output(timeout=seconds)
                if output["type"] == "websocket.close":
                    return output["code"]

    async def price(self, symbol, last, seconds=3.0):
        """Wait for this last price of a symbol."""
        async with asyncio.timeout(seconds):
            while True:
                for quote in (await self.hear("quote"))["quotes"]:
                    if (quote["symbol"], quote["last"]) == (symbol, last):
                        return quote


@contextlib.asynccontextmanager
async def connected(**options):
    socket = Socket(**options)
    accepted, _ = await socket.connect(timeout=3)
    assert accepted
    try:
        yield socket
    finally:
        await socket.disconnect()


async def refused(**options):
    """The code a handshake is refused with."""
    socket = Socket(**options)
    accepted, code = await socket.connect(timeout=3)
    assert not accepted
    return code


# ── who gets in ─────────────────────────────────────────────────────────────


async def test_a_stranger_is_refused():
    assert await refused() == 4401


async def test_a_token_in_the_url_is_not_even_read(bearer):
    assert await refused(path=f"/ws?token={bearer}") == 4401


async def test_a_browser_comes_with_its_session(session):
    async with connected(session=session) as socket:
        await socket.say("ping")
        assert await socket.hear("pong") == {"type": "pong"}


async def test_a_program_comes_with_its_token_and_no_origin(bearer):
    async with connected(token=bearer, origin="") as socket:
        await socket.say("ping")
        assert await socket.hear("pong")


FOREIGN = [
    "https://evil.example",
    "",
    "null",
    "http://localhost.evil.example",
    "http://localhost:81",
    "ftp://localhost",
    "http://[",
]
NONSENSE = [
    " ",
    "{",
    "[]",
    '"ping"',
    "7",
    '{"action":7}',
    '{"action":"buy"}',
    '{"x":NaN}',
    '{"action":"subscribe","symbols":"AAPL"}',
    '{"action":"subscribe","symbols":[7]}',
    "[" * 5000,
]


async def test_a_browser_from_another_page_is_refused(session):
    for origin in FOREIGN:
        assert await refused(session=session, origin=origin) == 4403, origin


async def test_a_host_that_is_not_ours_is_refused_even_when_the_page_says_the_same(session):
    host = "rebound.example"
    assert await refused(session=session, origin=f"http://{host}", host=host) == 4403


@pytest.mark.parametrize("origin", ["https://app.example", "http://app.localhost"])
async def test_a_page_that_may_call_the_api_comes_with_a_token_and_not_with_a_cookie(
    session, bearer, settings, origin
):
    """Of one site with ours it gets the session's cookie sent."""
    settings.ALLOWED_ORIGINS = settings.CORS_ALLOWED_ORIGINS = [origin]
    assert await refused(session=session, origin=origin) == 4403
    async with connected(token=bearer, origin=origin):
        pass


async def test_a_bad_token_is_refused_whatever_the_session_says(session):
    for token in ("nonsense", "a.b.c", "x" * 5000):
        assert await refused(session=session, token=token) == 4401


async def test_another_scheme_than_bearer_is_refused():
    socket = Socket()
    socket.scope["headers"].append((b"authorization", b"Basic YTpi"))
    assert await socket.connect() == (False, 4401)


async def test_two_authorization_headers_are_refused(bearer):
    socket = Socket(token=bearer)
    socket.scope["headers"].append((b"authorization", b"Bearer other"))
    assert await socket.connect() == (False, 4401)


async def test_the_address_of_another_user_is_refused(session, user):
    assert await refused(session=session, path=f"/ws/{user.pk + 1}") == 4403
    assert await refused(session=session, path="/ws/me") == 4403
    async with connected(session=session, path=f"/ws/{user.pk}"):
        pass


async def test_an_unknown_address_is_refused(session):
    assert await refused(session=session, path="/wsx/quotes") == 4403


async def test_somebody_who_was_put_out_is_refused(session, user):
    await User.objects.filter(pk=user.pk).aupdate(is_active=False)
    assert await refused(session=session) == 4401


async def test_one_user_has_a_limited_number_of_sockets(session, settings):
    settings.WS_MAX_PER_USER = 2
    async with connected(session=session), connected(session=session):
        third = Socket(session=session)
        assert (await third.connect())[0]
        assert await third.closed() == 4429
        await third.disconnect()
    async with connected(session=session):
        pass


# ── quotes ──────────────────────────────────────────────────────────────────


async def test_the_first_message_after_subscribing_is_a_snapshot_and_ticks_follow(session, priced):
    async with connected(session=session) as socket:
        await socket.say("subscribe", symbols=["aapl", "BTC-USD"])
        assert await socket.receive_json_from() == {
            "type": "subscribed",
            "symbols": ["AAPL", "BTC/USD"],
        }
        snapshot = await socket.receive_json_from()
        assert snapshot["type"] == "quote"
        assert {q["symbol"]: q["last"] for q in snapshot["quotes"]} == {
            "AAPL": "200.00",
            "BTC/USD": "64000.10",
        }
        put("AAPL", "201.00")
        quote = await socket.price("AAPL", "201.00")
        assert quote["stale"] is False


async def test_unsubscribing_stops_the_stream(session, priced):
    async with connected(session=session) as socket:
        await socket.say("subscribe", symbols=["AAPL", "BTC/USD"])
        await socket.hear("quote")
        await socket.say("unsubscribe", symbols=["btcusd"])
        assert (await socket.hear("subscribed"))["symbols"] == ["AAPL"]
        put("BTC/USD", "1.00")
        put("AAPL", "2.00")
        frame = await socket.hear("quote")
        assert [quote["symbol"] for quote in frame["quotes"]] == ["AAPL"]
        assert await socket.receive_nothing(0.3)


async def test_an_unknown_symbol_is_an_error_and_the_others_are_subscribed(session, priced):
    async with connected(session=session) as socket:
        await socket.say("subscribe", symbols=["NOSUCH", "AAPL"])
        assert (await socket.hear("subscribed"))["symbols"] == ["AAPL"]
        assert [q["symbol"] for q in (await socket.hear("quote"))["quotes"]] == ["AAPL"]
        error = await socket.hear("error")
        assert error["code"] == "unknown_symbol"
        assert "NOSUCH" in error["detail"]


async def test_subscribing_again_gives_the_snapshot_again(session, priced):
    async with connected(session=session) as socket:
        for _ in range(2):
            await socket.say("subscribe", symbols=["AAPL"])
            assert (await socket.hear("quote"))["quotes"][0]["last"] == "200.00"


async def test_what_somebody_watches_is_watched_at_once(session, priced):
    async with connected(session=session) as socket:
        await socket.say("subscribe", symbols=["AAPL"])
        await socket.hear("quote")
        assert quote_store.watched_symbols(timezone.now()) == {"AAPL"}


# ── limits ──────────────────────────────────────────────────────────────────


async def test_nonsense_is_answered_with_an_error_and_the_socket_lives(session):
    async with connected(session=session) as socket:
        for text in NONSENSE:
            await socket.send_to(text_data=text)
            assert (await socket.hear("error"))["code"] == "invalid", text
        await socket.say("ping")
        await socket.hear("pong")


TWICE = [
    ('{"action":"subscribe","symbols":["AAPL"],"symbols":["BTC/USD"]}', "the name symbols"),
    ('{"action":"ping","action":"ping"}', "the name action"),
    ('{"action":"ping","\\u0061ction":"unsubscribe"}', "the name action"),
    ('{"action":"ping","more":[{"deep":{"a":1,"a":1}}]}', "the name a"),
    ('{"action":"ping","\\ud800":1,"\\ud800":2}', "a name"),
    (f'{{"action":"ping","{"n" * 61}":1,"{"n" * 61}":2}}', "a name"),
]


async def test_a_message_that_says_a_name_twice_is_refused_as_the_api_refuses_it(session, priced):
    """Whoever reads it before us, a proxy or a log, may take the other one."""
    async with connected(session=session) as socket:
        for text, named in TWICE:
            await socket.send_to(text_data=text)
            assert await socket.hear("error") == {
                "type": "error",
                "code": "duplicate",
                "detail": f"The message has {named} twice. Send it once.",
            }
        await socket.say("unsubscribe", symbols=[])
        assert (await socket.hear("subscribed"))["symbols"] == []  # nothing was done by them


async def test_one_name_in_two_objects_of_a_message_is_once_in_each(session):
    async with connected(session=session) as socket:
        await socket.say("ping", more={"action": {"action": 1}})
        assert await socket.hear("pong")


async def test_bytes_are_read_as_text_would_be(session):
    async with connected(session=session) as socket:
        for raw in (b"\xff\xfe", '{"action":"ping"}'.encode("utf-16")):
            await socket.send_to(bytes_data=raw)
            assert (await socket.hear("error"))["code"] == "invalid"
        await socket.send_to(bytes_data=b'{"action":"ping"}')
        assert await socket.hear("pong")


@pytest.mark.fault("F18")
async def test_a_message_that_is_too_large_closes_the_socket(session, settings):
    settings.WS_MAX_MESSAGE = 100
    async with connected(session=session) as socket:
        await socket.send_to(text_data="€" * 40)
        assert await socket.closed() == 1009


async def test_too_many_symbols_are_an_error_and_nothing_changes(session, priced, settings):
    settings.WS_MAX_SYMBOLS = 1
    async with connected(session=session) as socket:
        await socket.say("subscribe", symbols=["AAPL"])
        await socket.hear("subscribed")
        await socket.say("subscribe", symbols=["BTC/USD"])
        assert (await socket.hear("error"))["code"] == "too_many_symbols"
        await socket.say("subscribe", symbols=["AAPL", "BTC/USD"])
        assert (await socket.hear("error"))["code"] == "too_many_symbols"
        await socket.say("unsubscribe", symbols=[])
        assert (await socket.hear("subscribed"))["symbols"] == ["AAPL"]


async def test_a_subscription_costs_one_query_however_many_symbols_it_names(
    priced, django_assert_num_queries
):
    from marketdata.selectors import instruments_split

    def split():
        with django_assert_num_queries(1):
            return instruments_split(["AAPL", *(f"X{number}" for number in range(150))])

    known, unknown = await sync_to_async(split)()
    assert [row.symbol for row in known] == ["AAPL"]
    assert len(unknown) == 150


async def test_too_many_messages_close_the_socket(session, settings):
    settings.WS_MESSAGES_PER_SECOND = 3
    async with connected(session=session) as socket:
        for _ in range(5):
            await socket.say("ping")
        assert await socket.closed() == 4429


@pytest.mark.fault("F14")
async def test_who_does_not_take_an_answer_is_closed(session, settings, monkeypatch):
    settings.WS_SLOW_AFTER = timedelta(milliseconds=50)

    async def full(self, text_data=None, bytes_data=None, close=False):
        await asyncio.Event().wait()

    async with connected(session=session) as socket:
        monkeypatch.setattr(MarketConsumer, "send", full)
        await socket.say("ping")
        assert await socket.closed() == 4408


async def test_a_browser_that_falls_silent_is_closed_and_a_program_is_not(
    session, bearer, settings
):
    settings.WS_SILENCE = timedelta(milliseconds=50)
    async with connected(session=session) as browser, connected(token=bearer) as program:
        assert await browser.closed() == 4408
        await program.say("ping")
        await program.hear("pong")


@pytest.mark.fault("F14")
async def test_a_socket_does_not_live_for_ever(session, settings):
    settings.WS_LIFETIME = timedelta(0)
    async with connected(session=session) as socket:
        assert await socket.closed() == 4000


# ── staying ─────────────────────────────────────────────────────────────────


@pytest.fixture
def quick_recheck(settings):
    settings.WS_RECHECK = timedelta(milliseconds=50)


async def test_logging_out_closes_the_socket_and_stops_its_stream(session, priced, quick_recheck):
    async with connected(session=session) as socket:
        await socket.say("subscribe", symbols=["AAPL"])
        await socket.hear("quote")
        await sync_to_async(session.logout)()
        assert await socket.closed() == 4401
        put("AAPL", "1.00")
        assert await socket.receive_nothing(0.3)


async def test_a_new_password_closes_every_socket(session, bearer, user, quick_recheck):
    async with connected(session=session) as browser, connected(token=bearer) as program:
        user.set_password("another-horse-8-stable")
        await user.asave(update_fields=["password"])
        assert await browser.closed() == 4401
        assert await program.closed() == 4401


async def test_deactivation_closes_the_socket(session, bearer, user, quick_recheck):
    async with connected(session=session) as browser, connected(token=bearer) as program:
        await User.objects.filter(pk=user.pk).aupdate(is_active=False)
        assert await browser.closed() == 4401
        assert await program.closed() == 4401


async def test_a_revoked_token_closes_the_socket_of_a_program(user, quick_recheck):
    pair = await sync_to_async(tokens_issue)(user=user, now=timezone.now())
    async with connected(token=pair.access_token) as socket:
        await sync_to_async(tokens_revoke)(refresh_token=pair.refresh_token, now=timezone.now())
        assert await socket.closed() == 4401


async def test_those_who_may_stay_are_left_alone(session, bearer, quick_recheck):
    async with connected(session=session) as browser, connected(token=bearer) as program:
        await lobby_here().recheck(
            [member for sockets in lobby_here()._members.values() for member in sockets]
        )
        for socket in (browser, program):
            await socket.say("ping")
            await socket.hear("pong")


async def test_a_logout_that_is_announced_needs_no_waiting(session, user):
    async with connected(session=session) as socket:
        await sync_to_async(session.logout)()
        await announce(user.pk, "logout", 0)
        assert await socket.closed() == 4401


async def test_a_socket_that_ends_is_forgotten(session, priced):
    async with connected(session=session) as socket:
        await socket.say("subscribe", symbols=["AAPL"])
        await socket.hear("quote")
    lobby = lobby_here()
    assert lobby._members == {}
    assert not lobby.hub._interest
    assert lobby.hub._readers == 0


# ── events and the portfolio ────────────────────────────────────────────────


async def announce(user_id, kind, thing_id):
    """Publish an event as the services do, outside a transaction."""
    await sync_to_async(live.live_publish)(user_id=user_id, kind=kind, thing_id=thing_id)


@pytest.fixture
def rendered(monkeypatch):
    """An owning app whose messages show what it was asked for."""
    monkeypatch.setattr(live, "_RENDERERS", {})
    for kind in ("order", "portfolio"):
        live.register_renderer(
            kind,
            lambda user_id, thing_id, kind=kind: (
                {"type": kind, kind: {"id": thing_id, "owner": user_id}} if thing_id else None
            ),
        )


@pytest.fixture
def book(monkeypatch):
    """A portfolio of as many shares of AAPL as `book.qty` says, or none at all."""
    book = SimpleNamespace(qty=2, loads=0, asked=[], over_at=None)

    def load(user_id, now, account_id):
        book.loads += 1
        book.asked.append(account_id)
        return live.Holdings(("AAPL",), book.qty, book.over_at) if book.qty else None

    def value(qty, quotes, now):
        last = quotes["AAPL"].last if "AAPL" in quotes else 0
        return {"type": "portfolio", "portfolio": {"portfolio_value": str(qty * last)}}

    monkeypatch.setattr(live, "_PORTFOLIO", [])
    live.register_portfolio(load, value)
    return book


async def test_an_event_reaches_its_user_and_nobody_else(session, user, rendered):
    other = await sync_to_async(User.objects.create_user)("bob", "bob@example.com", "pw")
    token = (await sync_to_async(tokens_issue)(user=other, now=timezone.now())).access_token
    async with connected(session=session) as mine, connected(token=token) as theirs:
        await announce(user.pk, "order", 7)
        assert await mine.hear("order") == {"type": "order", "order": {"id": 7, "owner": user.pk}}
        assert await theirs.receive_nothing(0.2)


async def test_all_pages_of_a_user_are_told_by_one_look(session, user, rendered):
    looks = []
    live.register_renderer("order", lambda *asked: looks.append(asked) or {"type": "order"})
    async with contextlib.AsyncExitStack() as pages:
        sockets = [await pages.enter_async_context(connected(session=session)) for _ in range(8)]
        await announce(user.pk, "order", 7)
        for socket in sockets:
            assert await socket.hear("order") == {"type": "order"}
    assert looks == [(user.pk, 7)]


async def test_what_is_nobodys_own_reaches_everybody(session, user, rendered):
    live.register_renderer("halt", lambda user_id, thing_id: {"type": "halt", "to": user_id})
    other = await sync_to_async(User.objects.create_user)("bob", "bob@example.com", "pw")
    token = (await sync_to_async(tokens_issue)(user=other, now=timezone.now())).access_token
    async with connected(session=session) as mine, connected(token=token) as theirs:
        await sync_to_async(live.live_publish_all)(kind="halt", thing_id=0)
        assert await mine.hear("halt") == {"type": "halt", "to": user.pk}
        assert await theirs.hear("halt") == {"type": "halt", "to": other.pk}


async def test_an_event_that_cannot_be_rendered_does_not_kill_the_socket(
    session, user, rendered, caplog
):
    def broken(user_id, thing_id):
        raise RuntimeError("a bug")

    live.register_renderer("alert", broken)
    async with connected(session=session) as socket:
        await announce(user.pk, "alert", 1)
        await announce(user.pk, "order", 0)
        await announce(user.pk, "order", 8)
        assert (await socket.hear("order"))["order"]["id"] == 8
    assert "event_not_rendered" in caplog.text


async def test_the_portfolio_is_pushed_when_a_price_in_it_moves(session, priced, book, settings):
    settings.PORTFOLIO_PUSH_PERIOD = timedelta(milliseconds=50)
    async with connected(session=session) as socket:
        await socket.say("subscribe", portfolio=True)
        first = await socket.hear("portfolio")
        assert first["portfolio"] == {"portfolio_value": "400.00"}
        put("BTC/USD", "1.00")
        assert await socket.receive_nothing(0.3)
        put("AAPL", "210.00")
        assert (await socket.hear("portfolio"))["portfolio"]["portfolio_value"] == "420.00"
        assert book.loads == 1
        assert "AAPL" in quote_store.watched_symbols(timezone.now())


async def test_in_another_session_the_portfolio_is_read_anew(session, priced, book, settings):
    """Fails where a book is kept as long as the socket: today's figures would be yesterday's."""
    settings.PORTFOLIO_PUSH_PERIOD = timedelta(milliseconds=20)
    book.over_at = timezone.now() + timedelta(seconds=0.2)
    async with connected(session=session) as socket:
        await socket.say("subscribe", portfolio=True)
        await socket.hear("portfolio")
        book.qty, book.over_at = 3, None
        assert (await socket.hear("portfolio"))["portfolio"] == {"portfolio_value": "600.00"}


async def test_after_a_fill_the_portfolio_is_read_anew(session, user, priced, book, rendered):
    async with connected(session=session) as socket:
        await socket.say("subscribe", portfolio=True)
        await socket.hear("portfolio")
        book.qty = 3
        await announce(user.pk, "order", 9)
        await announce(user.pk, "portfolio", 1)
        async with asyncio.timeout(3):
            while (await socket.hear("portfolio"))["portfolio"] != {"portfolio_value": "600.00"}:
                continue


async def test_the_portfolio_is_only_pushed_to_those_who_asked(
    session, user, priced, book, settings
):
    settings.PORTFOLIO_PUSH_PERIOD = timedelta(milliseconds=20)
    async with connected(session=session) as socket:
        put("AAPL", "1.00")
        assert await socket.receive_nothing(0.2)
        await socket.say("subscribe", portfolio=True)
        await socket.hear("portfolio")
        await socket.say("unsubscribe", portfolio=True)
        await socket.hear("subscribed")
        put("AAPL", "2.00")
        assert await socket.receive_nothing(0.2)


@pytest.mark.parametrize(
    ("asked", "account_id"),
    [(True, None), (7, 7), ("7", None), (-7, None), (2**70, None), (7.5, None), ([7], None)],
)
async def test_a_page_names_the_account_that_it_shows(session, priced, book, asked, account_id):
    async with connected(session=session) as socket:
        put("AAPL", "1.00")
        await socket.say("subscribe", portfolio=asked)
        await socket.hear("portfolio")
    assert book.asked == [account_id]


async def test_who_has_no_portfolio_gets_the_event_as_its_owner_renders_it(
    session, user, book, rendered
):
    book.qty = 0
    async with connected(session=session) as socket:
        await socket.say("subscribe", portfolio=True)
        await socket.hear("subscribed")
        await announce(user.pk, "portfolio", 5)
        assert (await socket.hear("portfolio"))["portfolio"]["id"] == 5
