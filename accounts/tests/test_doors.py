"""The pages of the log-in and the registration, beyond letting people in."""

import logging
import re
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from accounts.models import User
from accounts.services.passwords import password_rules
from accounts.services.users import name_problem
from speedtrade.lib.ratelimit import rate_take
from speedtrade.testing.cast import PASSWORD

DORA = {"username": "dora", "email": "dora@example.com", "password": PASSWORD}
CHECK = "/register/check"


def login(name: str, password: str = "wrong", **more: Any) -> Any:
    return Client().post("/login", {"username": name, "password": password, **more})


# ── log in ──────────────────────────────────────────────────────────────────
def test_the_same_words_meet_whoever_exists_and_whoever_does_not(alice):
    own = r'value="[^"]*"|"X-CSRFToken": "[^"]*"'
    shown = [re.sub(own, "", login(name).content.decode()) for name in ("alice", "nobody")]
    assert shown[0] == shown[1]
    assert "Name or password is wrong" in shown[0]


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_a_locked_door_says_for_how_long_on_its_own_page(alice, name):
    for _ in range(5):
        assert login(name).status_code == 422
    answer = login(name, PASSWORD, next="/orders")
    page = answer.content.decode()
    assert answer.status_code == 429
    seconds = int(answer.headers["Retry-After"])
    assert 240 < seconds <= 300
    assert f'data-countdown="{seconds}"' in page and "Try again in 5 minutes." in page
    assert "Too many wrong passwords." in page
    assert 'role="alert"' in page
    assert 'name="next" value="/orders"' in page and f'value="{name}"' in page
    assert PASSWORD not in page


@pytest.mark.parametrize(("path", "counter"), [("/login", "login"), ("/register", "register")])
def test_too_many_tries_of_one_address_are_told_on_the_same_page(db, settings, path, counter):
    rate = f"RATE_{counter.upper()}_PER_ADDRESS"
    setattr(settings, rate, "1/minute")
    rate_take(name=counter, who="address:127.0.0.1", rate="1/minute")
    answer = Client().post(path, {"username": "x"})
    assert answer.status_code == 429
    assert "Too many requests." in answer.content.decode()


def test_errors_stand_on_top_and_get_the_focus(alice):
    page = login("alice").content.decode()
    summary = page.index('role="alert" tabindex="-1" autofocus')
    assert summary < page.index('name="username"')


def test_who_was_sent_here_is_told_why(db):
    sent, came = (Client().get(url).content.decode() for url in ("/login?next=/orders", "/login"))
    assert "your session has ended" in sent
    assert "your session has ended" not in came


def test_browsers_know_which_field_is_which(db):
    page = Client().get("/login").content.decode()
    assert re.findall(r'autocomplete="([\w-]+)"', page) == ["username", "current-password"]
    page = Client().get("/register").content.decode()
    assert re.findall(r'autocomplete="([\w-]+)"', page) == ["username", "email", "new-password"]


# ── register ────────────────────────────────────────────────────────────────
def test_a_person_says_that_paper_money_is_understood(db):
    answer = Client().post("/register", DORA)
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == {"paper"}
    assert not User.objects.filter(username="dora").exists()
    assert Client().post("/register", {**DORA, "paper": "on"}).status_code == 302


def test_a_program_registers_as_before(db):
    answer = Client().post("/api/v1/auth/register", DORA, content_type="application/json")
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("password", "unmet"),
    [
        (PASSWORD, []),
        ("short-1", ["At least 10 characters"]),
        ("password123", ["Not one that many people use"]),
        ("dora-dora1", ["Not like your name or e-mail"]),
        ("84629174650293", ["Not digits alone"]),
        ("1234", ["At least 10 characters", "Not one that many people use", "Not digits alone"]),
    ],
)
def test_each_rule_says_by_itself_whether_it_is_met(password, unmet):
    rules = password_rules(password=password, username="dora-dora", email="d@example.com")
    assert [rule.words for rule in rules if not rule.met] == unmet
    assert len(rules) == len(settings.AUTH_PASSWORD_VALIDATORS)


def test_nothing_is_judged_before_anything_was_typed(db):
    page = Client().post(CHECK).content.decode()
    assert page.count("<li") == 4 and "met" not in page
    assert page.strip() in Client().get("/register").content.decode()


def test_the_rules_are_said_in_words(db):
    page = Client().post(CHECK, {"password": "short-1"}).content.decode()
    assert page.count(">met<") == 3 and page.count(">not met<") == 1
    assert "short-1" not in page


@pytest.mark.parametrize("password", [PASSWORD, "short-1", "password123", "84629174650293"])
def test_the_rules_are_those_that_registering_applies(db, password):
    rules = password_rules(password=password, username="dora", email=DORA["email"])
    answer = Client().post("/register", {**DORA, "paper": "on", "password": password})
    assert (answer.status_code == 302) is all(rule.met for rule in rules)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ALICE", "This name is taken."),
        ("zoe", "This name is free."),
        ("z", "at least 3 characters"),
        ("alice@example.com", "letters, digits"),
        ("", ""),
    ],
)
def test_a_name_is_looked_up_when_its_field_is_left(alice, name, said):
    page = Client().post(f"{CHECK}?part=name", {"username": name}).content.decode()
    assert said in page and ("<p" in page) is bool(said)


def test_the_check_never_tells_whether_an_address_is_known(alice):
    pages = {
        Client().post(CHECK, {"username": "zoe", "email": email, "password": "x"}).content
        for email in (alice.email, "nobody@example.com")
    }
    assert len(pages) == 1
    assert name_problem(username=alice.email) == name_problem(username="no@example.com")


def test_the_check_is_limited(db, settings):
    settings.RATE_REGISTER_CHECK_PER_ADDRESS = "2/minute"
    assert [Client().post(CHECK).status_code for _ in range(3)] == [200, 200, 429]


def test_a_password_that_is_checked_is_in_no_log(db, caplog):
    with caplog.at_level(logging.DEBUG):
        Client().post(CHECK, {"password": "s3cret-that-was-typed"})
    assert "s3cret-that-was-typed" not in caplog.text


def test_a_long_password_costs_no_more_than_a_short_one(db):
    rules = password_rules(password="a" * 100_000, username="dora", email="")
    assert rules[0].met
