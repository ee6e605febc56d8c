"""Second factors: sealed at rest, used once, and asked for by every door that takes a password."""

import threading
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts import second_factor
from accounts.models import AuditEvent, BrokerageAccount, User
from accounts.second_factor import app_offer, code_use, codes_left, codes_renew, has_factor
from accounts.services import logins
from accounts.services.logins import WRONG_CODE
from accounts.services.tries import TOO_MANY_CODES
from accounts.sessions import CONFIRMED_AT, FACTOR_AT, STEP
from speedtrade.lib.crypto import Unreadable
from speedtrade.testing.cast import (
    PASSWORD,
    ApiClient,
    app_code,
    give_app,
    make_user,
    page_client,
)


def api_login(otp: str | None = None, password: str = PASSWORD) -> Any:
    body = {"username": "alice", "password": password}
    return ApiClient().post("auth/login", body if otp is None else {**body, "otp": otp})


def page_login(client: Client, **more: str) -> Any:
    return client.post("/login", {"username": "alice", "password": PASSWORD, **more})


def locked() -> list[dict[str, str]]:
    """What the audit says of limits that were reached."""
    rows = AuditEvent.objects.filter(action="user.login_locked", actor=None)
    return list(rows.values_list("data", flat=True))


@pytest.fixture
def secret(alice):
    """Alice has an app; what it was set up with."""
    return give_app(alice)


# ── at rest ─────────────────────────────────────────────────────────────────
def test_neither_the_secret_nor_the_seed_of_the_codes_rests_in_the_clear(alice, secret):
    codes = codes_renew(alice)
    with connection.cursor() as cursor:
        cursor.execute("SELECT data::text FROM mfa_authenticator")
        stored = " ".join(row[0] for row in cursor.fetchall())
    assert secret not in stored
    assert not any(code in stored for code in codes)
    assert '"used_mask"' in stored  # it is the rows of the codes that were looked at


def test_another_key_opens_nothing_and_nothing_is_taken_for_the_secret(alice, secret, settings):
    code = app_code(secret)
    settings.FIELD_KEYS = ["another-key-of-the-house-0123456789abcdef"]
    with pytest.raises(Unreadable):
        code_use(alice, code, timezone.now())
    answer = api_login(code)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


def test_a_secret_moved_to_another_user_opens_nothing(alice, charlie, secret):
    Authenticator.objects.filter(user=alice).update(user=charlie)
    with pytest.raises(Unreadable):
        code_use(charlie, app_code(secret), timezone.now())


def test_sealed_anew_with_a_new_key_the_old_one_can_go(alice, secret, settings):
    codes, old = codes_renew(alice), settings.FIELD_KEYS
    settings.FIELD_KEYS = ["another-key-of-the-house-0123456789abcdef", *old]
    call_command("rotate_broker_keys")
    settings.FIELD_KEYS = settings.FIELD_KEYS[:1]
    assert code_use(alice, app_code(secret), timezone.now()) == "totp"
    assert code_use(alice, codes[0], timezone.now()) == "recovery_codes"


# ── one code, one use ───────────────────────────────────────────────────────
def test_a_code_works_once_and_an_older_one_never_after_a_newer(alice, secret):
    now = timezone.now()
    newer, older = app_code(secret, now), app_code(secret, now - timedelta(seconds=30))
    assert code_use(alice, newer, now) == "totp"
    assert code_use(alice, newer, now) == ""
    assert code_use(alice, older, now) == ""


@pytest.mark.parametrize("seconds", [-61, 61])
def test_a_code_of_another_minute_is_wrong(alice, secret, seconds):
    now = timezone.now()
    assert code_use(alice, app_code(secret, now + timedelta(seconds=seconds)), now) == ""


def test_a_recovery_code_works_once_however_it_is_written(alice, secret):
    first, second = codes_renew(alice)[:2]
    now = timezone.now()
    assert code_use(alice, f" {first[:5]}-{first[5:]} ", now) == "recovery_codes"
    assert code_use(alice, first, now) == ""
    assert codes_left(alice) == 9
    codes_renew(alice)
    assert code_use(alice, second, now) == ""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["totp", "recovery_codes"])
def test_of_two_who_come_with_one_code_at_once_one_gets_in(kind):
    alice = make_user("alice")
    secret = give_app(alice)
    code = app_code(secret) if kind == "totp" else codes_renew(alice)[0]
    now, start, said = timezone.now(), threading.Barrier(8), []

    def use() -> None:
        start.wait()
        try:
            said.append(code_use(alice, code, now))
        finally:
            connection.close()

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == [""] * 7 + [kind]


# ── the API ─────────────────────────────────────────────────────────────────
def test_a_script_of_somebody_with_an_app_sends_the_code_too(alice, secret):
    asked = api_login()
    assert (asked.status_code, asked.json()["code"]) == (401, "mfa_required")
    assert asked.json()["type"].endswith("/problems/mfa-required")
    assert Client().get("/problems/mfa-required").status_code == 200
    given = api_login(app_code(secret))
    assert given.status_code == 200
    assert ApiClient(token=given.json()["access_token"]).get("auth/me").status_code == 200
    row = AuditEvent.objects.get(action="user.login", actor=alice)
    assert row.data == {"door": "api", "factor": "totp"}


def test_a_recovery_code_gets_a_script_in_as_well(alice, secret):
    assert api_login(codes_renew(alice)[3]).status_code == 200


def test_a_wrong_code_is_a_failed_log_in_and_a_right_password_excuses_none(alice, secret):
    for _ in range(3):
        answer = api_login("000000")
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
        assert answer.json()["detail"] == WRONG_CODE
    assert AuditEvent.objects.filter(action="user.factor_wrong", actor=alice).count() == 3
    assert api_login().status_code == 401  # the password alone: counted, and it clears nothing
    assert api_login("000000").status_code == 401
    assert api_login(app_code(secret)).status_code == 429


def test_a_right_code_clears_the_count(alice, secret):
    for _ in range(4):
        api_login("000000")
    assert api_login(app_code(secret)).status_code == 200
    assert api_login("000000").status_code == 401


def test_without_a_second_factor_a_code_is_neither_needed_nor_looked_at(alice):
    assert api_login().status_code == 200
    assert api_login("123456").status_code == 200


def test_a_wrong_password_is_never_asked_for_a_code(alice, secret):
    answer = api_login(app_code(secret), password="wrong")
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
    assert api_login(app_code(secret)).status_code == 200  # and its code is not used up


# ── the page ────────────────────────────────────────────────────────────────
def test_the_password_alone_opens_no_page(alice, secret):
    web = Client()
    answer = page_login(web, next="/orders")
    assert answer.headers["Location"] == "/login/code?next=/orders"
    assert web.get("/orders").status_code == 302
    assert not AuditEvent.objects.filter(action="user.login").exists()
    form = web.get("/login/code?next=/orders")
    assert 'name="code"' in form.content.decode() and 'value="/orders"' in form.content.decode()
    wrong = web.post("/login/code", {"code": "000000"})
    assert wrong.status_code == 422 and WRONG_CODE in wrong.content.decode()
    right = web.post("/login/code", {"code": app_code(secret), "next": "/orders"})
    assert (right.status_code, right.headers["Location"]) == (302, "/orders")
    assert web.get("/orders").status_code == 200
    row = AuditEvent.objects.get(action="user.login", actor=alice)
    assert row.data == {"door": "page", "factor": "totp"}


def test_the_step_ends_after_five_minutes(alice, secret, settings):
    web = Client()
    page_login(web)
    session = web.session
    late = timezone.now() - settings.SECOND_STEP_WAIT
    session[STEP] = {**session[STEP], "at": late.timestamp()}
    session.save()
    answer = web.post("/login/code", {"code": app_code(secret)})
    assert answer.headers["Location"].startswith("/login?")
    assert web.get("/settings").status_code == 302


def test_the_step_belongs_to_its_session_and_ends_with_the_password(alice, secret):
    first, second = Client(), Client()
    page_login(first)
    code = app_code(secret)
    assert second.post("/login/code", {"code": code}).headers["Location"].startswith("/login?")
    alice.set_password("another-horse-7-battery")
    alice.save()
    assert first.post("/login/code", {"code": code}).headers["Location"].startswith("/login?")


def test_both_steps_give_their_session_a_new_id(alice, secret):
    web = Client()
    session = web.session
    session["planted"] = True
    session.save()
    web.cookies["sessionid"] = planted = session.session_key
    page_login(web)
    between = web.cookies["sessionid"].value
    web.post("/login/code", {"code": app_code(secret)})
    assert len({planted, between, web.cookies["sessionid"].value}) == 3


def test_pages_and_scripts_share_one_lock(alice, secret):
    web = Client()
    page_login(web)
    for _ in range(5):
        assert web.post("/login/code", {"code": "000000"}).status_code == 422
    locked = web.post("/login/code", {"code": app_code(secret)})
    assert locked.status_code == 429 and int(locked.headers["Retry-After"]) > 0
    assert TOO_MANY_CODES.partition(". ")[0] in locked.content.decode()
    assert api_login(app_code(secret)).status_code == 429


def strangers_guess(addresses: int) -> None:
    """Six wrong passwords for alice from each of so many addresses."""
    for n in range(6 * addresses):
        stranger = Client(REMOTE_ADDR=f"203.0.113.{n % addresses}")
        stranger.post("/login", {"username": "alice", "password": "wrong"})


@pytest.mark.parametrize("door", ["page", "api"])
def test_wrong_passwords_at_one_address_leave_both_steps_open_at_another(alice, secret, door):
    strangers_guess(addresses=1)
    if door == "api":
        assert api_login().json()["code"] == "mfa_required"
        assert api_login(app_code(secret)).status_code == 200
    else:
        web = Client()
        assert page_login(web).headers["Location"].startswith("/login/code")
        assert web.post("/login/code", {"code": app_code(secret)}).status_code == 302


def test_wrong_passwords_of_many_strangers_leave_the_second_step_open(alice, secret):
    web = Client()
    page_login(web)
    strangers_guess(addresses=5)
    assert page_login(Client()).status_code == 429  # the first step is shut, for strange browsers
    assert web.post("/login/code", {"code": app_code(secret)}).status_code == 302


def test_wrong_codes_run_out_at_all_addresses_together(alice, secret):
    """Who shows a code knows the password: five tries, and not five at each address."""
    for n in range(5):
        body = {"username": "alice", "password": PASSWORD, "otp": "000000"}
        script = ApiClient()
        script.client = Client(REMOTE_ADDR=f"203.0.113.{n}")
        assert script.post("auth/login", body).status_code == 401
    assert locked() == []
    for _ in range(2):
        assert api_login(app_code(secret)).status_code == 429
    assert locked() == [{"limit": "codes_of_strangers"}]


def test_wrong_codes_of_a_thief_leave_the_browsers_of_the_user_open(alice, secret, clock):
    web = Client()
    page_login(web)
    web.post("/login/code", {"code": app_code(secret, timezone.now() - timedelta(seconds=30))})
    assert web.post("/logout").status_code == 302
    for _ in range(6):
        api_login("000000")
    page_login(web)
    assert web.post("/login/code", {"code": app_code(secret)}).status_code == 302
    assert api_login(app_code(secret)).status_code == 429


def test_right_passwords_of_who_is_in_lock_nobody_out(alice, secret):
    for _ in range(7):
        assert logins.password_check(user=alice, password=PASSWORD, now=timezone.now())
    assert api_login(app_code(secret)).status_code == 200


def test_a_right_password_of_who_is_in_gives_no_more_tries_for_the_code(alice, secret):
    """Of a stolen session whose thief has the password too."""
    web = page_client(alice)
    for _ in range(5):
        assert web.post("/settings/security/confirm", {"code": "000000"}).status_code == 422
        assert logins.password_check(user=alice, password=PASSWORD, now=timezone.now())
    answer = web.post("/settings/security/confirm", {"code": app_code(secret)})
    assert answer.status_code == 429
    assert locked() == [{"limit": "codes_of_known_browsers"}]
    assert api_login(app_code(secret)).status_code == 200  # log-ins have tries of their own


# ── setting it up ───────────────────────────────────────────────────────────
def sent(offer: Any) -> dict[str, str]:
    """What the page sends when the right code is typed."""
    return {"offer": offer.sealed, "code": app_code(offer.secret)}


def set_up(web: Client) -> tuple[str, list[str]]:
    page = web.get("/settings/security/app")
    secret = page.context["offer"].secret
    body = page.content.decode()
    assert secret in body and page.context["offer"].path in body and "style=" not in body
    done = web.post("/settings/security/app", sent(page.context["offer"]))
    assert done.status_code == 200
    assert all(code in done.content.decode() for code in done.context["codes"])
    return secret, done.context["codes"]


def test_an_app_is_set_up_by_its_code_and_recovery_codes_are_shown_once(alice):
    web, other = page_client(alice), page_client(alice)
    script = ApiClient(user=alice)
    assert web.post("/settings/security/app", {"code": "000000"}).status_code == 422
    assert not has_factor(alice)
    secret, codes = set_up(web)
    assert len(set(codes)) == 10
    page = web.get("/settings/security").content.decode()
    assert "10 recovery codes left" in page
    assert not any(code in page for code in codes) and secret not in page
    assert other.get("/settings").status_code == 302, "it came by a password alone"
    assert script.get("auth/me").status_code == 401
    assert api_login(codes[0]).status_code == 200
    assert AuditEvent.objects.get(action="user.factor_add").data == {"factor": "totp"}


def test_the_code_that_set_it_up_is_used(alice):
    secret, _ = set_up(page_client(alice))
    assert api_login(app_code(secret)).status_code == 401


def test_an_offer_of_another_user_is_worth_nothing(alice, charlie):
    web = page_client(alice)
    answer = web.post("/settings/security/app", sent(app_offer(charlie)))
    assert answer.status_code == 422 and not has_factor(alice)


def test_an_offer_ends_after_a_while(alice, settings):
    web, offer = page_client(alice), app_offer(alice)
    with time_machine.travel(timezone.now() + settings.FACTOR_OFFERED_FOR + timedelta(seconds=2)):
        session = web.session
        session[CONFIRMED_AT] = timezone.now().timestamp()
        session.save()
        late = web.post("/settings/security/app", sent(offer))
        assert late.status_code == 422 and "too old" in late.content.decode()
    assert not has_factor(alice)


def test_there_is_one_app_and_it_is_removed_with_its_codes(alice, secret):
    web = page_client(alice)
    codes_renew(alice)
    second = web.post("/settings/security/app", sent(app_offer(alice)), follow=True)
    assert "You have an app already." in second.content.decode()
    row = Authenticator.objects.get(type="totp")
    web.post(f"/settings/security/{row.pk}/remove")
    assert not Authenticator.objects.exists()
    assert api_login().status_code == 200


def test_with_a_factor_go_the_other_sessions_and_what_was_shown_of_it(alice, secret):
    web, other, script = page_client(alice), page_client(alice), ApiClient(user=alice)
    web.post(f"/settings/security/{Authenticator.objects.get(type='totp').pk}/remove")
    assert web.get("/settings").status_code == 200 and FACTOR_AT not in web.session
    assert other.get("/settings").status_code == 302
    assert script.get("auth/me").status_code == 401


def test_nobody_removes_what_is_somebody_elses(alice, charlie, secret):
    row = Authenticator.objects.get(type="totp")
    answer = page_client(charlie).post(f"/settings/security/{row.pk}/remove")
    assert answer.status_code == 404 and has_factor(alice)


def test_new_codes_replace_the_old_ones(alice, secret):
    old = codes_renew(alice)
    shown = page_client(alice).post("/settings/security/codes").context["codes"]
    assert api_login(old[0]).status_code == 401
    assert api_login(shown[0]).status_code == 200


# ── who it is, again ────────────────────────────────────────────────────────
@pytest.fixture
def stale(alice, settings):
    """A browser of Alice's whose log-in was a while ago."""
    web = page_client(alice)
    session = web.session
    session[CONFIRMED_AT] = (timezone.now() - settings.CONFIRMED_FOR).timestamp()
    session.save()
    return web


GUARDED = [
    ("POST", "/settings/profile"),
    ("GET", "/settings/security/passkey"),
    ("POST", "/settings/security/passkey"),
    ("POST", "/settings/security/passkey/make"),
    ("GET", "/settings/security/app"),
    ("POST", "/settings/security/app"),
    ("POST", "/settings/security/codes"),
    ("POST", "/settings/security/1/remove"),
    ("POST", "/settings/security/1/rename"),
]
MINE = [
    *GUARDED,
    ("GET", "/settings/brokers/connect"),
    ("POST", "/settings/brokers/1/key"),
    ("GET", "/settings/developers/new"),
    ("POST", "/settings/developers/new"),
]


@pytest.mark.parametrize(("method", "address"), GUARDED)
def test_what_matters_asks_who_one_is_when_that_was_shown_a_while_ago(stale, method, address):
    answer = stale.generic(method, address)
    assert answer.headers["Location"].startswith("/settings/security/confirm?next=")


@pytest.mark.parametrize("shown", ["nothing", "long ago"])
@pytest.mark.parametrize(("method", "address"), MINE)
def test_a_password_of_now_does_not_stand_in_for_the_factor(
    alice, secret, settings, shown, method, address
):
    """As a browser that is trusted has it: it showed the password a moment ago."""
    web = page_client(alice)
    session = web.session
    del session[FACTOR_AT]
    if shown == "long ago":
        session[FACTOR_AT] = (timezone.now() - settings.CONFIRMED_FOR).timestamp()
    session.save()
    answer = web.generic(method, address)
    assert answer.headers["Location"].startswith("/settings/security/confirm?next=")
    form = web.get(answer.headers["Location"]).content.decode()
    assert 'name="code"' in form and 'name="password"' not in form
    assert web.post("/settings/security/confirm", {"password": PASSWORD}).status_code == 422
    assert web.generic(method, address).headers["Location"] == answer.headers["Location"]
    assert has_factor(alice) and codes_left(alice) == 0
    web.post("/settings/security/confirm", {"code": app_code(secret)})
    assert "confirm" not in web.generic(method, address).headers.get("Location", "")


def test_an_empty_code_is_no_wrong_one(alice, secret):
    web = page_client(alice)
    for _ in range(6):
        assert web.post("/settings/security/confirm", {"code": ""}).status_code == 422
    assert web.post("/settings/security/confirm", {"code": app_code(secret)}).status_code == 303


def test_the_password_or_a_code_confirms(alice, stale):
    address = "/settings/security/confirm"
    assert stale.post(address, {"password": "wrong"}).status_code == 422
    assert stale.get("/settings/security/app").status_code == 303
    done = stale.post(address, {"password": PASSWORD, "next": "/settings/security/app"})
    assert done.headers["Location"] == "/settings/security/app"
    assert stale.get("/settings/security/app").status_code == 200


def test_a_code_confirms_once(alice, stale):
    secret = give_app(alice)
    code = app_code(secret)
    assert stale.post("/settings/security/confirm", {"code": code}).status_code == 303
    assert stale.post("/settings/security/confirm", {"code": code}).status_code == 422


def test_confirming_leads_nowhere_else(stale):
    given = {"password": PASSWORD, "next": "https://evil.example/"}
    answer = stale.post("/settings/security/confirm", given)
    assert answer.headers["Location"] == "/settings/security"


def test_no_secret_is_sealed_or_opened_for_nobody():
    with pytest.raises(LookupError):
        second_factor.HouseAdapter().encrypt("secret")


# ── what matters asks for it ────────────────────────────────────────────────
def long_in(user: Any) -> Client:
    """Logged in with the factor, longer ago than an answer holds."""
    web = page_client(user)
    session = web.session
    old = timezone.now() - settings.CONFIRMED_FOR
    session[FACTOR_AT] = session[CONFIRMED_AT] = old.timestamp()
    session.save()
    return web


ACTS = [
    ("password", {"current_password": PASSWORD, "new_password": "another-horse-7-battery"}, 302),
    ("close", {"username": "alice", "password": PASSWORD}, 302),
    ("limits", {"order_cap": "", "day_cap": "900", "password": PASSWORD}, 303),
]


@pytest.mark.parametrize(("path", "given", "done"), ACTS)
def test_who_has_a_factor_shows_it_for_what_matters_beside_the_password(alice, path, given, done):
    BrokerageAccount.objects.update(day_cap=500)
    give_app(alice)
    before = [alice.password, True, 500]

    def found() -> list[Any]:
        user = User.objects.get(pk=alice.pk)
        return [user.password, user.is_active, BrokerageAccount.objects.get().day_cap]

    answer = long_in(alice).post(f"/settings/{path}", given)
    assert answer.status_code == 303 and "/settings/security/confirm?next=" in answer.url
    assert found() == before
    assert page_client(alice).post(f"/settings/{path}", given).status_code == done
    assert found() != before


def test_a_lower_limit_waits_for_no_factor(alice):
    BrokerageAccount.objects.update(day_cap=500)
    give_app(alice)
    assert long_in(alice).post("/settings/limits", {"day_cap": "100"}).status_code == 303
    assert BrokerageAccount.objects.get().day_cap == 100


@pytest.mark.parametrize(("path", "given", "done"), ACTS)
def test_who_has_none_gives_the_password_alone(alice, path, given, done):
    BrokerageAccount.objects.update(day_cap=500)
    assert long_in(alice).post(f"/settings/{path}", given).status_code == done
