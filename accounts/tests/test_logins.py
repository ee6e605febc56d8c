"""Logging in: wrong passwords are counted once for all doors, and nobody learns who exists."""

import contextlib
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from statistics import median
from time import process_time

import pytest
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEvent, User
from accounts.services import logins, tries
from accounts.services.logins import InvalidCredentials, login_check
from accounts.services.staff import support_grant
from accounts.services.users import user_password_change
from speedtrade.lib.errors import InvalidInput
from speedtrade.lib.ratelimit import RateLimited
from speedtrade.testing.cast import (
    PASSWORD,
    ApiClient,
    app_code,
    give_app,
    make_user,
    page_client,
)
from speedtrade.testing.races import race


def api_login(username: str, password: str = "wrong", **headers: str):
    body = {"username": username, "password": password}
    return ApiClient().post("auth/login", body, **headers)


def page_login(username: str, password: str = "wrong", client: Client | None = None):
    return (client or Client()).post("/login", {"username": username, "password": password})


def login_from(address: str, username: str, password: str = "wrong"):
    """By the API, from an address of its own."""
    script = ApiClient()
    script.client = Client(REMOTE_ADDR=address)
    return script.post("auth/login", {"username": username, "password": password})


def check(username: str, password: str) -> User:
    """The service behind the doors, without the limits of addresses and of the API."""
    request = RequestFactory().post("/api/v1/auth/login")
    return login_check(
        username=username, password=password, door="test", request=request, now=timezone.now()
    )


@pytest.mark.parametrize("name", ["alice", "ALICE", "alice@example.com"])
def test_a_script_logs_in_by_json_and_by_form(alice, name):
    as_json = api_login(name, PASSWORD)
    body = {"username": name, "password": PASSWORD}
    as_form = Client().post(
        "/api/v1/auth/login/",
        data="&".join(f"{key}={value}" for key, value in body.items()),
        content_type="application/x-www-form-urlencoded",
    )
    for answer in (as_json, as_form):
        assert answer.status_code == 200
        assert set(answer.json()) == {"access_token", "refresh_token", "token_type", "expires_in"}
        assert answer.json()["token_type"] == "bearer" and answer.json()["expires_in"] == 1800
        token = answer.json()["access_token"]
        assert ApiClient(token=token).get("auth/me").json()["username"] == "alice"
    assert AuditEvent.objects.filter(action="user.login", actor=alice).count() == 2


@pytest.mark.parametrize(
    "body", ["", "[]", "{", '{"username": NaN}', '{"username": {"a": 1}}', "null"]
)
def test_a_body_that_is_no_login_is_a_400_problem(db, body):
    answer = ApiClient().post("auth/login", body)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_body_over_the_limit_is_refused_unread(db, settings):
    for content_type in ("application/json", "application/x-www-form-urlencoded"):
        body = "a" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
        answer = Client().post("/api/v1/auth/login", data=body, content_type=content_type)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large"), content_type
    many = "&".join(f"a{n}=1" for n in range(settings.DATA_UPLOAD_MAX_NUMBER_FIELDS + 1))
    form = "application/x-www-form-urlencoded"
    assert Client().post("/api/v1/auth/login", data=many, content_type=form).status_code == 400


def test_wrong_password_unknown_name_and_closed_user_get_one_answer(alice, charlie):
    User.objects.filter(pk=charlie.pk).update(is_active=False)
    answers = [
        api_login("alice"),
        api_login("nobody"),
        api_login("nobody@example.com"),
        api_login("charlie", PASSWORD),
    ]
    bodies = [{**answer.json(), "request_id": ""} for answer in answers]
    assert [answer.status_code for answer in answers] == [401] * 4
    assert all(body == bodies[0] for body in bodies)
    assert bodies[0]["code"] == "invalid_credentials"
    assert all(answer.headers["WWW-Authenticate"] for answer in answers)
    pages = [page_login("alice"), page_login("nobody"), page_login("charlie", PASSWORD)]
    assert [page.status_code for page in pages] == [422] * 3
    assert len({str(page.context["form"].non_field_errors()) for page in pages}) == 1


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_after_five_wrong_passwords_every_door_says_wait(alice, name):
    """The same for a name that nobody has: the answer tells nothing."""
    for _ in range(3):
        assert api_login(name).status_code == 401
    for _ in range(2):
        assert page_login(name).status_code == 422
    by_api, by_page = api_login(name, PASSWORD), page_login(name, PASSWORD)
    for answer in (by_api, by_page):
        assert answer.status_code == 429
        assert 0 < int(answer.headers["Retry-After"]) <= 300
    assert by_api.json()["detail"] == tries.TOO_MANY
    page = by_page.content.decode()
    assert tries.TOO_MANY.partition(". ")[0] in page and "Try again in 5 minutes." in page


def test_a_name_and_an_address_do_not_give_twice_as_many_tries(alice):
    for name in ("alice", "alice@example.com", "ALICE", "Alice@example.com", "alice "):
        assert api_login(name).status_code == 401
    assert api_login("alice").status_code == 429
    assert api_login("alice@example.com").status_code == 429


def test_one_who_waits_for_another_does_not_wait(alice, charlie):
    for _ in range(6):
        api_login("alice")
    assert api_login("charlie", PASSWORD).status_code == 200


def test_the_right_password_clears_the_count(alice):
    for _ in range(4):
        assert api_login("alice").status_code == 401
    assert api_login("alice", PASSWORD).status_code == 200
    for _ in range(5):
        assert api_login("alice").status_code == 401
    assert api_login("alice").status_code == 429


def test_the_wait_ends_by_itself_even_for_who_keeps_asking(alice, settings):
    settings.RATE_WRONG_PASSWORD = "2/1second"
    settings.RATE_LOGIN_PER_ADDRESS = settings.RATE_API_PER_USER = "100000/minute"
    for _ in range(2):
        assert api_login("alice").status_code == 401
    end = timezone.now() + timedelta(seconds=5)
    while api_login("alice", PASSWORD).status_code == 429:
        assert timezone.now() < end, "the limit does not end while somebody asks"


def password_change(user: User, current: str) -> User:
    return user_password_change(
        user=user,
        current_password=current,
        new_password="another-horse-7-battery",
        now=timezone.now(),
    )


def test_guessing_the_old_password_in_the_settings_runs_out_too(alice):
    for _ in range(5):
        with pytest.raises(InvalidInput):
            password_change(alice, "wrong")
    with pytest.raises(RateLimited):
        password_change(alice, PASSWORD)


# ── strangers who guess shut out themselves ─────────────────────────────────
def known_browser(user: User, **options: str) -> Client:
    """A browser in which this user was logged in, and is no more."""
    web = Client(**options)
    assert page_login(user.username, PASSWORD, web).status_code == 302
    web.post("/logout")
    return web


def many_places(username: str, places: int = 4) -> list[int]:
    """Five wrong passwords from each of so many addresses; what the last one of each met."""
    return [
        [login_from(f"203.0.113.{n}", username).status_code for _ in range(5)][-1]
        for n in range(places)
    ]


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_one_address_shuts_out_itself_and_no_other(alice, name):
    """However long it goes on: what is refused there is not counted for all."""
    answers = [login_from("203.0.113.1", name).status_code for _ in range(30)]
    assert answers == [401] * 5 + [429] * 25
    there = Client(REMOTE_ADDR="203.0.113.1")
    assert page_login(name, PASSWORD, there).status_code == 429
    by_page, by_api = page_login(name), login_from("203.0.113.2", name)
    assert (by_page.status_code, by_api.status_code) == (422, 401)
    if name == "alice":
        assert page_login(name, PASSWORD).status_code == 302
        assert login_from("203.0.113.2", name, PASSWORD).status_code == 200


def test_right_passwords_use_nothing_up(alice):
    for _ in range(25):
        assert login_from("203.0.113.1", "alice", PASSWORD).status_code == 200


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_all_addresses_together_have_twenty_tries(alice, name):
    assert many_places(name, 5) == [401] * 4 + [429]
    by_page, by_api = page_login(name, PASSWORD), login_from("198.51.100.1", name, PASSWORD)
    assert by_page.status_code == by_api.status_code == 429
    assert by_api.json()["detail"] == tries.TOO_MANY_ANYWHERE
    assert 0 < int(by_api.headers["Retry-After"]) <= 300
    assert "only browsers that you used before get in" in by_page.content.decode()


def test_a_browser_that_its_user_had_before_gets_in_whatever_strangers_do(alice):
    web = known_browser(alice)
    many_places("alice")
    for _ in range(5):
        assert page_login("alice").status_code == 429  # from its own address too
    assert page_login("alice", PASSWORD, web).status_code == 302
    assert web.get("/settings").status_code == 200
    # Who got in excuses no stranger.
    assert login_from("198.51.100.1", "alice", PASSWORD).json()["detail"] == tries.TOO_MANY_ANYWHERE


@pytest.mark.parametrize("whose", ["nobody", "charlie", "before", "forged"])
def test_a_browser_of_somebody_else_or_of_an_old_password_is_a_strange_one(alice, charlie, whose):
    web = known_browser(charlie if whose == "charlie" else alice)
    if whose == "nobody":
        web.cookies.clear()
    if whose == "before":
        password_change(alice, PASSWORD)
    if whose == "forged":
        web.cookies["browser"] = web.cookies["browser"].value[:-2] + "xx"
    many_places("alice")
    assert page_login("alice", PASSWORD, web).status_code == 429


def flood(**where: str) -> Client:
    """A stranger who uses up what an address may send, by sending nothing."""
    stranger = Client(**where)
    while stranger.post("/login").status_code != 429:
        pass
    return stranger


def test_a_stranger_beside_a_browser_that_its_user_had_does_not_shut_it_out(alice, settings):
    """Fails where the address is counted first: who sends nothing shuts everybody out."""
    settings.RATE_LOGIN_PER_ADDRESS = "5/hour"
    web = known_browser(alice)
    flood()
    assert page_login("alice", PASSWORD).status_code == 429
    assert api_login("alice", PASSWORD).status_code == 429
    assert page_login("alice", PASSWORD, web).status_code == 302
    assert web.get("/settings").status_code == 200


def test_nor_out_of_the_second_step(alice, settings):
    settings.RATE_LOGIN_PER_ADDRESS = "5/hour"
    web, secret = known_browser(alice), give_app(alice)
    flood()
    assert page_login("alice", PASSWORD, web).headers["Location"].startswith("/login/code")
    assert web.post("/login/passkey").status_code == 200
    assert Client().post("/login/passkey").status_code == 429
    assert web.post("/login/code", {"code": app_code(secret)}).status_code == 302
    assert web.get("/settings").status_code == 200


@pytest.mark.parametrize("whose", ["charlie", "forged", "nobody"])
def test_a_mark_that_does_not_hold_for_who_is_named_counts_by_address(
    alice, charlie, settings, whose
):
    """Or one account would be a way to try the passwords of all others."""
    settings.RATE_LOGIN_PER_ADDRESS = "5/hour"
    web = known_browser(alice)
    if whose == "forged":
        web.cookies["browser"] = web.cookies["browser"].value[:-2] + "xx"
    flood()
    name = "alice" if whose == "forged" else whose
    assert page_login(name, PASSWORD, web).status_code == 429


def test_the_browsers_of_a_user_have_a_limit_of_their_own(alice, charlie, settings):
    settings.RATE_LOGIN_PER_ADDRESS = "5/hour"
    first, second, other = known_browser(alice), known_browser(alice), known_browser(charlie)
    for web in (first, second, first, second, first):
        assert page_login("alice", PASSWORD, web).status_code == 302
    assert page_login("alice", PASSWORD, second).status_code == 429
    assert page_login("charlie", PASSWORD, other).status_code == 302
    assert page_login("alice", PASSWORD).status_code == 302  # strangers are counted apart


def test_all_browsers_that_a_user_had_before_have_five_tries_together(alice):
    """Or who holds one would get new tries with each mark that it is given."""
    first, second = known_browser(alice), known_browser(alice)
    for web in (first, second, first, second, first):
        assert page_login("alice", "wrong", web).status_code == 422
    assert page_login("alice", PASSWORD, first).status_code == 429
    assert page_login("alice", PASSWORD, second).status_code == 429
    assert page_login("alice", PASSWORD).status_code == 302  # strangers are counted apart


def test_who_is_in_shows_the_password_whatever_strangers_do(alice):
    many_places("alice")
    assert password_change(alice, PASSWORD) == alice


def test_a_new_password_waits_for_no_wrong_one_of_before(alice):
    many_places("alice")
    password_change(alice, PASSWORD)
    assert login_from("203.0.113.1", "alice", "another-horse-7-battery").status_code == 200


def test_the_right_password_at_one_address_excuses_no_other(alice):
    for _ in range(5):
        assert login_from("203.0.113.1", "alice").status_code == 401
    assert login_from("203.0.113.2", "alice", PASSWORD).status_code == 200
    assert login_from("203.0.113.1", "alice").status_code == 429


def test_a_network_of_ipv6_is_one_address(alice):
    for n in range(5):
        assert login_from(f"2001:db8::{n + 1}", "alice").status_code == 401
    assert login_from("2001:db8::99", "alice").status_code == 429
    assert login_from("2001:db8:0:1::1", "alice").status_code == 401


def looked_at_of_thirty(monkeypatch: pytest.MonkeyPatch, guess: Callable[[int], None]) -> int:
    """How many of thirty guesses at one moment reach the password."""
    looks: list[dict[str, str]] = []  # appending is atomic
    monkeypatch.setattr(logins, "authenticate", lambda **given: looks.append(given))
    race([partial(guess, number) for number in range(30)])
    return len(looks)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("guarded", "looked_at"), [(True, 20), (False, 30)])
def test_of_thirty_addresses_at_once_twenty_guesses_are_looked_at(monkeypatch, guarded, looked_at):
    """The guard shown: without the count of all, each address has its own five."""
    make_user("alice")
    real = tries.rate_take
    if not guarded:
        monkeypatch.setattr(
            tries, "rate_take", lambda **of: of["name"] == tries.ANYWHERE or real(**of)
        )

    def guess(number: int) -> None:
        login_from(f"203.0.113.{number}", "alice", f"guess {number}")

    assert looked_at_of_thirty(monkeypatch, guess) == looked_at


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("guarded", "looked_at"), [(True, 5), (False, 30)])
def test_of_thirty_guesses_at_once_five_are_looked_at(monkeypatch, guarded, looked_at):
    """The guard shown: without the count before the look, all thirty are."""
    make_user("alice")
    if not guarded:
        monkeypatch.setattr(tries, "rate_take", lambda **_: None)

    def guess(number: int) -> None:
        with contextlib.suppress(InvalidCredentials, RateLimited):
            check("alice", f"guess {number}")

    assert looked_at_of_thirty(monkeypatch, guess) == looked_at


def test_an_unknown_name_takes_as_long_as_a_wrong_password(alice, settings):
    """As a ratio within one run; without the hasher for unknown names it is far below one."""
    settings.PASSWORD_HASHERS = [h for h in settings.PASSWORD_HASHERS if "MD5" not in h]
    settings.RATE_WRONG_PASSWORD = "1000/minute"
    User.objects.filter(pk=alice.pk).update(password=make_password(PASSWORD))

    def seconds(name: str) -> float:
        started = process_time()  # what others do meanwhile on the same cores does not count
        with pytest.raises(InvalidCredentials):
            check(name, "wrong")
        return process_time() - started

    rounds = [(seconds("alice"), seconds("nobody")) for _ in range(15)]
    known, unknown = (median(column) for column in zip(*rounds, strict=True))
    assert 0.7 < unknown / known < 1.4


@pytest.mark.parametrize("door", [page_login, api_login])
def test_a_known_name_costs_no_statement_more_than_an_unknown_one(alice, monkeypatch, door):
    """Before the answer, and shut out as well; what is written down comes after it."""
    jobs = []
    monkeypatch.setattr(logins, "later", lambda *job: jobs.append(job))

    def statements(name: str) -> list[int]:
        counts = []
        for _ in range(6):  # the sixth is refused for the rate
            with CaptureQueriesContext(connection) as queries:
                door(name)
            counts.append(len(queries))
        return counts

    known, unknown = statements("alice"), statements("nobody")
    assert known == unknown and known[-1] < known[0]
    assert not failures() and len(jobs) == 12
    for job, *given in jobs:
        job(*given)
    assert [row[0] for row in failures()] == ["user.login_failed", "user.login_locked"]


@pytest.mark.parametrize("door", ["login", "register"])
def test_an_address_has_its_own_limit_for_pages_and_api_together(db, settings, door):
    settings.RATE_LOGIN_PER_ADDRESS = settings.RATE_REGISTER_PER_ADDRESS = "4/minute"
    for _ in range(2):
        assert ApiClient().post(f"auth/{door}", {}).status_code == 400
        assert Client().post(f"/{door}", {}).status_code == 422
    by_api, by_page = ApiClient().post(f"auth/{door}", {}), Client().post(f"/{door}", {})
    assert by_api.status_code == by_page.status_code == 429
    assert int(by_api.headers["Retry-After"]) > 0 and int(by_page.headers["Retry-After"]) > 0
    assert Client().get(f"/{door}").status_code == 200  # looking is free
    elsewhere = Client(REMOTE_ADDR="203.0.113.9").post(f"/{door}", {})
    assert elsewhere.status_code == 422


def test_a_closed_users_session_ends_at_once(alice):
    browser = page_client(alice)
    assert browser.get("/settings").status_code == 200
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert browser.get("/settings").status_code == 302


# ── what the audit has of it ────────────────────────────────────────────────
def failures() -> list[tuple[str, str, dict[str, str]]]:
    rows = AuditEvent.objects.filter(action__startswith="user.login_", actor=None).order_by("pk")
    return [(row.action, row.target, row.data) for row in rows]


@pytest.mark.parametrize("name", ["alice", " ALICE@example.com "])
def test_a_failed_log_in_is_one_row_and_that_the_door_shut_is_another(alice, name):
    for door in (page_login, api_login) * 5:
        door(name)
    tried, target = name.strip(), f"user:{alice.pk}"
    assert failures() == [
        ("user.login_failed", target, {"door": "page", "tried": tried}),
        ("user.login_locked", target, {"door": "api", "tried": tried, "limit": "address"}),
    ]


def shut_address(alice: User) -> None:
    many_places("alice", 1)
    assert login_from("203.0.113.0", "alice").status_code == 429


def shut_strangers(alice: User) -> None:
    many_places("alice")
    assert login_from("198.51.100.1", "alice").status_code == 429


def shut_browsers(alice: User) -> None:
    web = known_browser(alice)
    assert [page_login("alice", "wrong", web).status_code for _ in range(6)][-1] == 429


def locked() -> list[str]:
    return [data["limit"] for action, _, data in failures() if action == "user.login_locked"]


@pytest.mark.parametrize(
    ("shut", "limit"),
    [
        (shut_address, "address"),
        (shut_strangers, "strangers"),
        (shut_browsers, "known_browsers"),
    ],
)
def test_a_row_of_a_failure_that_shut_the_door_says_which_limit_was_reached(
    alice, bob, shut, limit
):
    """And staff read the word, but no address and no word of another limit."""
    shut(alice)
    assert locked() == [limit]
    row = AuditEvent.objects.get(action="user.login_locked")
    assert set(row.data) == {"door", "tried", "limit"}
    support_grant(user=bob, actor=None, reason="He answers the phone.", now=timezone.now())
    desk = page_client(User.objects.get(pk=bob.pk))
    page = desk.get(f"/admin/accounts/auditevent/{row.pk}/change/").content.decode()
    assert f"&quot;limit&quot;: &quot;{limit}&quot;" in page


def test_of_each_limit_a_failure_that_reached_it_is_a_row_of_its_own(alice):
    """Fails where one row hides the next: that all strangers are shut out matters more."""
    shut_browsers(alice)
    for _ in range(2):
        shut_address(alice)
        shut_strangers(alice)
    assert locked() == ["known_browsers", "address", "strangers"]


def test_who_guesses_from_a_session_of_somebody_else_is_written_down_too(alice):
    web = page_client(alice)
    guess = partial(web.post, "/settings/security/confirm", {"password": "wrong"})
    assert [guess().status_code for _ in range(7)] == [422] * 5 + [429] * 2
    target = f"user:{alice.pk}"
    assert failures() == [
        ("user.login_failed", target, {"door": "session"}),
        ("user.login_locked", target, {"door": "session", "limit": "known_browsers"}),
    ]
    page_login("alice")
    assert failures()[-1] == (
        "user.login_failed",
        target,
        {"door": "page", "tried": "alice"},
    )


def test_of_each_user_a_failure_is_written_again_after_ten_minutes(alice, charlie, monkeypatch):
    page_login("alice")
    page_login("charlie")
    page_login("alice")
    assert [row[1] for row in failures()] == [f"user:{alice.pk}", f"user:{charlie.pk}"]
    now = time.time() + 601
    monkeypatch.setattr(time, "time", lambda: now)
    page_login("alice")
    assert len(failures()) == 3


def test_a_name_that_nobody_has_is_kept_nowhere(alice):
    for _ in range(7):
        page_login("my-password-by-mistake")
    assert not AuditEvent.objects.filter(action__startswith="user.login").exists()


def test_a_right_password_leaves_no_failure(alice):
    page_login("alice", PASSWORD)
    assert failures() == []
