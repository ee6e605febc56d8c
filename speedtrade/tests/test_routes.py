"""Every route, by every method, for nobody, the owner, a stranger and staff.

The table is `speedtrade/testing/routes.py`. Each answer is looked at for its status, for its
security headers and for anything of Alice's that is not for whoever asked; safe methods run in a
read-only transaction, so that a GET that writes fails.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.db import connection, transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.models import ApiKey, BrokerageAccount, BrokerKind, User
from accounts.services.api_keys import key_create
from accounts.tokens import tokens_issue
from marketdata.services.alerts import alert_create
from speedtrade.testing import market
from speedtrade.testing.cast import (
    PASSWORD,
    account_of,
    make_superuser,
    make_user,
    page_client,
)
from speedtrade.testing.headers import assert_nothing_inline, assert_safe_headers
from speedtrade.testing.routes import ADMIN_PAGES, METHODS, ROUTES, SAFE, Case
from trading.tests.desk import Desk

WHO = ("nobody", "owner", "stranger", "staff")
CASES = [
    pytest.param(case, id=f"{case.address}{'+body' if case.bodies else ''}")
    for cases in ROUTES.values()
    for case in cases
]


def patterns(resolver: URLResolver | None = None, prefix: str = "") -> Iterator[str]:
    """The full pattern of every route there is."""
    for entry in (resolver or get_resolver()).url_patterns:
        here = prefix + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield here
        else:
            yield from patterns(entry, here)


def admin_patterns() -> list[str]:
    return sorted(pattern for pattern in patterns() if pattern.startswith("admin/"))


def test_every_route_is_declared():
    found = {pattern for pattern in patterns() if not pattern.startswith("admin/")}
    missing = sorted(found - set(ROUTES))
    assert not missing, (
        "Say in speedtrade/testing/routes.py what these routes answer to nobody, the owner, a "
        f"stranger and staff (its docstring shows how): {missing}"
    )
    gone = sorted(set(ROUTES) - found)
    assert not gone, f"These routes are gone; take them out of speedtrade/testing/routes.py: {gone}"


def test_a_route_that_is_not_declared_fails(monkeypatch):
    """The guard shown."""
    monkeypatch.delitem(ROUTES, "settings")
    with pytest.raises(AssertionError, match=r"Say in speedtrade/testing/routes.py .*'settings'"):
        test_every_route_is_declared()


@contextmanager
def undone() -> Iterator[None]:
    """All that is written inside is taken back, as pytest-django does around each test."""
    block = transaction.atomic()
    block._from_testcase = True  # durable blocks of the services count this as the outside
    with block:
        yield
        transaction.set_rollback(True)


@pytest.fixture(scope="module")
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """One transaction around all tests of this module, in place of one around each.

    Alice's things are made once; every call is undone by itself.
    """
    logging.disable(logging.INFO)  # two lines for each of some thousand requests
    with django_db_blocker.unblock(), undone():
        yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def desk(db: None) -> Iterator[Desk]:
    """Alice's desk, on a clock that stands still."""
    with time_machine.travel(market.NOON, tick=False) as clock:
        alice = make_user("alice")
        yield Desk(alice, account_of(alice), clock)


@pytest.fixture(scope="module")
def things(desk: Desk) -> dict[str, Any]:
    """Alice's things by name, and what each of the four shows at a door."""
    desk.quote("99.99", "100.00")
    bought = desk.trade("buy", "2")
    waiting = desk.work(desk.place("buy", "1", limit="50.00"))
    assert bought.state == "filled" and waiting.is_open
    users = {
        "nobody": None,
        "owner": desk.user,
        "stranger": make_user("charlie"),
        "staff": make_user("bob", staff=True),
    }
    return {
        "account": desk.account.pk,
        "order": waiting.pk,
        "position": desk.position().pk,
        "watchlist": desk.user.watchlists.get().pk,
        "alert": alert_create(
            user=desk.user, symbol="AAPL", direction="above", price=market.D(150), now=desk.now
        ).pk,
        "key": make_key(desk.user, "trade")[0].pk,
        "password": PASSWORD,
        "cookies": {who: session_of(user) for who, user in users.items()},
        "tokens": {who: token_of(user) for who, user in users.items()},
    }


def make_key(user: User, scope: str, account: int | None = None) -> tuple[ApiKey, str]:
    """A key that has been used just now, so that nobody notes it."""
    key, raw = key_create(
        user=user,
        name=f"{scope} {account}",
        scope=scope,
        account_id=account,
        networks="",
        days=30,
        password=PASSWORD,
        now=market.NOON,
    )
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=market.NOON)
    return key, raw


def session_of(user: User | None) -> str:
    client = page_client(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value if user else ""


def token_of(user: User | None) -> str:
    return tokens_issue(user=user, now=market.NOON).access_token if user else ""


@pytest.fixture
def world(desk: Desk, things: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Alice's things, with a fresh price: Redis is empty before each test."""
    with undone():
        desk.quote("99.99", "100.00")
        yield things


def filled(value: Any, world: dict[str, Any]) -> Any:
    """`{names}` replaced by the ids of the world, at any depth; a lone name becomes its id."""
    if isinstance(value, dict):
        return {key: filled(one, world) for key, one in value.items()}
    if isinstance(value, str):
        lone = re.fullmatch(r"\{(\w+)\}", value)
        return world[lone[1]] if lone else value.format_map(world)
    return value


def ask(
    case: Case, method: str, who: str, world: dict[str, Any], *, writes: bool = False, **client: Any
) -> Any:
    """The response to one call, undone afterwards; a safe method may not write at all."""
    browser = Client(raise_request_exception=False, **client)
    given: dict[str, Any] = {"headers": {}}
    if case.json and world["tokens"][who]:
        given["headers"]["Authorization"] = f"Bearer {world['tokens'][who]}"
    elif world["cookies"][who]:
        browser.cookies[settings.SESSION_COOKIE_NAME] = world["cookies"][who]
    if method not in SAFE:
        given["data"] = filled(dict(case.bodies.get(method, {})), world)
        if case.json or method != "POST":
            given["content_type"] = "application/json"
    with undone():
        if method in SAFE and not writes:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL transaction_read_only = on")
        return getattr(browser, method.lower())(filled(case.address, world), **given)


def text_of(response: Any) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else response.content


@pytest.mark.parametrize("case", CASES)
def test_each_method_answers_everybody_as_declared(case, world):
    wrong = []
    for method in METHODS:
        for who, expected in zip(WHO, case.answer(method), strict=True):
            if method == "HEAD" and who != "nobody":
                continue  # a GET without its body, looked at once
            response = ask(case, method, who, world)
            if response.status_code != expected:
                wrong.append(f"{method} by {who}: {response.status_code}, declared {expected}")
            assert_safe_headers(response, case.address)
            assert_nothing_inline(response, case.address)
            if who != "owner":
                assert b"alice" not in text_of(response), f"{method} tells {who} of Alice"
            if expected == 302 and who == "nobody":
                assert response.url.startswith("/login?next=/")
    assert not wrong, wrong


def unsafe_pages() -> list[Any]:
    return [
        pytest.param(case, method, id=f"{method} {case.address}{'+body' if case.bodies else ''}")
        for cases in ROUTES.values()
        for case in cases
        if not case.json and not case.address.startswith("/api/")
        for method in METHODS
        if method not in SAFE and case.answer(method)[1] != 405
    ]


@pytest.mark.parametrize(("case", "method"), unsafe_pages())
def test_no_page_takes_an_unsafe_request_without_its_csrf_token(case, method, world):
    refused = ask(case, method, "owner", world, enforce_csrf_checks=True)
    assert refused.status_code == 403
    assert b"too old to be sent" in refused.content
    # The guard shown: the same request where nobody checks is answered as declared.
    assert ask(case, method, "owner", world).status_code == case.answer(method)[1]


@pytest.mark.parametrize("pattern", [p for p, cases in ROUTES.items() if cases[0].json])
def test_a_session_alone_opens_no_door_of_the_api(pattern, world):
    """Cookies travel with forged requests of other pages; the API takes tokens only."""
    browser = Client()
    browser.cookies[settings.SESSION_COOKIE_NAME] = world["cookies"]["owner"]
    for case in ROUTES[pattern]:
        nobody = case.answer("GET")[0]
        assert browser.get(filled(case.address, world)).status_code == nobody


def admin_address(pattern: str) -> str:
    """An address that the pattern of an admin route matches."""
    address = re.sub(r"\^?\(\?P<app_label>.*?\)/?\$?", "auth/", pattern)
    address = re.sub(r"\(\?P<url>.*", "no/such/page", address)
    return "/" + re.sub(r"<[^>]+>", "1", address)


def admin_answers(pattern: str) -> dict[str, tuple[int, ...]]:
    """The statuses that are right for each of the three who are no superuser."""
    own = pattern in ADMIN_PAGES or "(?P<" in pattern
    return {
        "nobody": (302,),
        "stranger": (302, 403, 405),
        "staff": (200, 302, 403, 404, 405) if own else (302, 403, 405),
    }


def leads_inside(response: Any) -> bool:
    """Whether a redirect leads to a page of the admin (its log-in is outside: it refuses)."""
    target = response.url if response.status_code == 302 else ""
    return target.startswith("/admin/") and not target.startswith("/admin/login/")


def test_the_admin_lets_nobody_in_but_staff_and_staff_nowhere_without_permission(world):
    wrong = []
    for pattern in admin_patterns():
        case = Case(admin_address(pattern), {})
        for who, statuses in admin_answers(pattern).items():
            for method in ("GET", "POST"):
                # Who looks at what is written down, so a GET writes here.
                response = ask(case, method, who, world, writes=True)
                assert_safe_headers(response, case.address)
                assert b"alice" not in response.content, case.address
                # Logging out leads to the index, which refuses in its turn.
                inside = leads_inside(response) and pattern != "admin/logout/"
                if response.status_code not in statuses or (inside and who != "staff"):
                    wrong.append(f"{method} {case.address} by {who}: {response.status_code}")
    assert not wrong, wrong


def test_the_log_in_of_the_admin_refuses_who_is_no_staff(world):
    """And does not lead back to where they came from, round and round."""
    login = Case("/admin/login/?next=/admin/", {})
    assert ask(login, "GET", "stranger", world).status_code == 403
    assert ask(login, "GET", "nobody", world).url == "/login?next=/admin/"


def test_the_admin_has_no_log_in_and_no_password_page_of_its_own(world):
    """They would be second doors, with nobody who counts wrong passwords."""
    browser = Client()
    there = browser.get("/admin/login/?next=/admin/auth/group/")
    assert there.url == "/login?next=/admin/auth/group/"
    answer = browser.post("/admin/login/", {"username": "bob", "password": PASSWORD})
    assert answer.status_code == 302 and SESSION_KEY not in browser.session
    root = page_client(make_superuser())
    assert root.get("/admin/").status_code == 200
    assert root.get("/admin/password_change/").url.startswith("/settings")


# ── API keys, one more kind of caller ───────────────────────────────────────
KEYS = ("trading key", "reading key", "key of another account")


@pytest.fixture(scope="module")
def keys(desk: Desk, things: dict[str, Any]) -> dict[str, Any]:
    """Alice's things, with keys of hers: two for all, one for an account that has nothing."""
    other = BrokerageAccount.objects.create(
        user=desk.user, label="Other", broker=BrokerKind.ALPACA, created_at=market.NOON
    )
    raws = [
        make_key(desk.user, "trade", things["account"])[1],
        make_key(desk.user, "read")[1],
        make_key(desk.user, "trade", other.pk)[1],
    ]
    return {**things, "tokens": dict(zip(KEYS, raws, strict=True))}


def key_answer(case: Case, method: str, who: str) -> int:
    """What a key of Alice's gets."""
    _, owner, stranger, _ = case.answer(method)
    if owner == 405 or case.answer("OPTIONS")[0] != 401:  # nobody reads a key there
        return owner
    if method in case.shut or (who == "reading key" and method not in SAFE):
        return 403
    if who != "reading key" and "/alerts" in case.address:  # of a person and of no account
        return 403
    return stranger if who == "key of another account" else owner


@pytest.mark.parametrize("case", [one for one in CASES if one.values[0].json])
def test_each_method_answers_api_keys_as_declared(case, keys, desk):
    desk.quote("99.99", "100.00")
    wrong = []
    for method in METHODS:
        for who in KEYS:
            expected = key_answer(case, method, who)
            # A refusal is written down, so a GET writes here.
            answer = ask(case, method, who, keys, writes=True)
            if answer.status_code != expected:
                wrong.append(f"{method} by {who}: {answer.status_code}, declared {expected}")
            assert_safe_headers(answer, case.address)
    assert not wrong, wrong


LISTS = ("orders", "positions", "portfolio/positions", "portfolio/activity", "accounts")


@pytest.mark.parametrize("path", LISTS)
def test_a_key_of_another_account_sees_no_row_of_this_one(path, keys, desk):
    def seen(who: str) -> str:
        case = Case(f"/api/v1/{path}", {}, json=True)
        return text_of(ask(case, "GET", who, keys, writes=True)).decode()

    desk.quote("99.99", "100.00")
    marks = ("AAPL", f'"account_id":{keys["account"]},', f'"id":{keys["account"]},')
    assert any(mark in seen("trading key") for mark in marks)
    assert not any(mark in seen("key of another account") for mark in marks)


def test_a_repeated_intent_shows_a_bound_key_no_order_of_another_account(keys, desk):
    """The key of an intent is one of its person, so it finds orders in all of their accounts."""
    case = Case(
        "/api/v1/orders",
        {},
        {
            "POST": {
                "symbol": "AAPL",
                "asset_type": "stock",
                "side": "buy",
                "order_type": "limit",
                "limit_price": "99",
                "qty": "1",
                "client_order_id": "once",
            }
        },
        json=True,
    )
    desk.quote("99.99", "100.00")
    with undone():
        desk.quote("99.99", "100.00")
        client = Client()
        asked = {
            "data": case.bodies["POST"],
            "content_type": "application/json",
        }
        told = {
            who: client.post(
                case.address, headers={"Authorization": f"Bearer {keys['tokens'][who]}"}, **asked
            )
            for who in ("trading key", "key of another account")
        }
    assert told["trading key"].status_code == 201
    assert told["key of another account"].status_code >= 400
    assert b"AAPL" not in told["key of another account"].content
