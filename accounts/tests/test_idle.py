"""A session ends when nobody is there: a page that is merely open keeps none alive."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.admission import still_admitted
from accounts.keys import BrokerKey
from accounts.models import BrokerageAccount
from accounts.services.connections import account_connect
from accounts.services.devices import devices_expire, sessions_of
from speedtrade.lib.admission import Admission
from speedtrade.testing.cast import PASSWORD

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
PAGE = {"Accept": "text/html"}
ASKED = {**PAGE, "HX-Request": "true", "HX-Current-URL": "http://testserver/orders?page=2"}


def go_live(user: Any) -> None:
    BrokerageAccount.objects.create(
        user=user, label="Live", broker="alpaca", mode="live", created_at=timezone.now()
    )


def inside(web: Client, **headers: str) -> bool:
    return bool(web.get("/settings", headers={**PAGE, **headers}).status_code == 200)


def ends_in() -> timedelta:
    return Session.objects.get().expire_date - timezone.now()


@pytest.mark.parametrize(("live", "idle"), [(False, 12 * HOUR), (True, 30 * MINUTE)])
def test_a_session_ends_after_its_idle_age_and_not_before(alice, web, clock, live, idle):
    if live:
        go_live(alice)
        clock.shift(2 * MINUTE)
    assert inside(web)
    clock.shift(idle - MINUTE)
    assert inside(web), "a page is a sign"
    clock.shift(idle)
    assert not inside(web)


@pytest.mark.parametrize(
    ("headers", "counts"),
    [
        (PAGE, True),
        ({**PAGE, "Sec-Fetch-Mode": "navigate"}, True),
        ({**PAGE, "Sec-Fetch-Mode": "cors"}, False),
        ({"Accept": "application/json"}, False),
        (ASKED, False),
        ({**ASKED, "Sec-Fetch-Mode": "cors", "X-By-Hand": "true"}, True),
        ({"Accept": "application/json", "Sec-Fetch-Mode": "cors", "X-By-Hand": "true"}, True),
    ],
)
def test_only_what_a_person_does_is_a_sign_of_them(web, clock, headers, counts):
    clock.shift(HOUR)
    assert web.get("/settings", headers=headers).status_code == 200
    assert ends_in() == (12 if counts else 11) * HOUR


def test_a_page_that_asks_by_itself_for_ever_is_sent_to_the_log_in(web, clock):
    for _ in range(12):
        assert web.get("/orders", headers=ASKED).status_code == 200
        clock.shift(HOUR)
    answer = web.get("/orders", headers=ASKED)
    assert answer.status_code == 204
    assert answer["HX-Redirect"] == "/login?next=/orders%3Fpage%3D2&ended=idle"


def test_a_sign_is_written_once_a_minute_at_most(web, clock):
    def writes(web: Client) -> int:
        with CaptureQueriesContext(connection) as asked:
            assert inside(web)
        return sum(one["sql"].startswith('UPDATE "django_session"') for one in asked)

    clock.shift(59 * timedelta(seconds=1))
    assert writes(web) == 0
    clock.shift(timedelta(seconds=1))
    assert [writes(web), writes(web)] == [1, 0]


def test_what_is_kept_in_a_session_does_not_move_its_end(web, clock):
    clock.shift(HOUR)
    session = web.session
    session["account_id"] = 1
    session.save()
    assert ends_in() == 11 * HOUR


def test_after_seven_days_the_busiest_session_ends_and_the_log_in_says_why(web, clock):
    for _ in range(7 * 24 // 5):  # the last time is three hours before
        assert inside(web)
        clock.shift(5 * HOUR)
    assert inside(web)
    clock.shift(3 * HOUR)
    answer = web.get("/orders", headers=PAGE)
    assert answer.url == "/login?next=/orders&ended=age"
    assert "after 7 days everybody logs in anew" in web.get(answer.url).content.decode()


@pytest.mark.parametrize(("live", "words"), [(False, "12 hours"), (True, "30 minutes")])
def test_the_log_in_says_why_and_leads_back_to_the_page(alice, web, clock, live, words):
    if live:
        go_live(alice)
    clock.shift(13 * HOUR)
    answer = web.get("/settings/security?x=1", headers=PAGE)
    page = web.get(answer.url)
    said = f"Your session ended after {words} without a sign of you."
    assert said in page.content.decode()
    given = {"username": "alice", "password": PASSWORD, "next": page.context["next"]}
    assert web.post("/login", given).url == "/settings/security?x=1"


def test_a_form_that_came_too_late_leads_back_to_its_page(web, clock):
    clock.shift(13 * HOUR)
    headers = {**PAGE, "Referer": "http://testserver/settings/trading?a=1"}
    answer = web.post("/settings/limits", {"order_cap": "5"}, headers=headers)
    assert answer.url == "/login?next=/settings/trading%3Fa%3D1&ended=idle"


@pytest.mark.parametrize("given", ["", "ended=", "ended=nonsense", "ended=<b>x</b>"])
def test_nobody_puts_words_on_the_log_in_page(db, given):
    page = Client().get(f"/login?next=/orders&{given}").content.decode()
    assert "That page is for people who are logged in" in page and "<b>x" not in page


def test_a_session_of_before_begins_with_its_first_sign_and_is_told_no_reason(alice, web, clock):
    """Fails where one without a log-in time could never move its end, or is said to be idle."""
    store = web.session
    del store["entered_at"]
    store.save()
    Session.objects.update(expire_date=timezone.now() + HOUR)
    assert web.get("/settings", headers=PAGE).status_code == 200
    assert web.session["entered_at"] == pytest.approx(timezone.now().timestamp())
    assert web.get("/settings", headers=PAGE).status_code == 200
    assert ends_in() == 12 * HOUR
    store = web.session
    del store["entered_at"]
    store.save()
    clock.shift(13 * HOUR)
    assert "without a sign" not in web.get("/settings", headers=PAGE, follow=True).content.decode()


def test_saving_a_session_leaves_an_end_that_moved_meanwhile(web):
    """Fails where the end is written as it was read."""
    store = web.session
    assert store["entered_at"]
    Session.objects.update(expire_date=timezone.now() + HOUR)
    store["choice"] = 1
    store.save()
    assert ends_in() == HOUR and web.session["choice"] == 1


def test_who_logged_out_by_hand_is_not_told_of_an_end(web):
    kept = web.cookies["sessionid"].value
    web.post("/logout")
    web.cookies["sessionid"] = kept
    assert web.get("/orders", headers=PAGE).url == "/login?next=/orders"


def test_a_live_account_shortens_the_sessions_that_there_are(alice, web, clock, settings):
    settings.LIVE_SECOND_FACTOR = False
    account_connect(
        user=alice,
        broker="alpaca",
        mode="live",
        key=BrokerKey("AK", "s" * 40),
        confirm_live=True,
        now=timezone.now(),
    )
    assert ends_in() == 30 * MINUTE


def test_sockets_and_the_list_of_browsers_end_with_it(alice, web, clock):
    key, auth_hash = web.session.session_key, alice.get_session_auth_hash()
    socket = Admission(user_id=alice.pk, session_key=key, auth_hash=auth_hash)
    clock.shift(12 * HOUR - MINUTE)
    assert still_admitted([socket], timezone.now()) and sessions_of(alice, timezone.now())
    clock.shift(MINUTE)
    assert not still_admitted([socket], timezone.now())
    assert not sessions_of(alice, timezone.now())


def test_an_ended_session_is_kept_for_its_reason_and_then_deleted(web, clock):
    clock.shift(timedelta(days=7))
    devices_expire(now=timezone.now())
    assert Session.objects.exists()
    clock.shift(timedelta(days=1))
    devices_expire(now=timezone.now())
    assert not Session.objects.exists()
