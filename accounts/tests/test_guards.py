"""Guards of links and sessions that show only where two things happen at once, or after an end."""

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.models import Session
from django.core import mail
from django.db import connection, transaction
from django.utils import timezone

from accounts.idle import session_begin, session_seen
from accounts.links import address_link
from accounts.models import Letter, User
from accounts.services.addresses import address_ask, address_confirm
from accounts.services.letters import letter_process, letter_tell
from accounts.services.users import user_profile_change
from accounts.session_store import SessionStore
from accounts.tasks import letters_sweep
from speedtrade.lib.errors import InvalidInput
from speedtrade.testing.cast import make_user
from speedtrade.testing.races import race
from speedtrade.testing.waiting import wait_until

HOUR = timedelta(hours=1)


# ── links ───────────────────────────────────────────────────────────────────
def waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_a_link_that_is_followed_while_the_address_changes_verifies_no_other_one() -> None:
    """Fails where the user is read and not locked: the link to the old address fits until then."""
    alice = make_user("alice")
    token, said = address_link(alice).rpartition("/")[2], []

    def follow() -> None:
        try:
            address_confirm(user=alice, token=token, now=timezone.now())
        except InvalidInput:
            said.append("refused")
        finally:
            connection.close()

    thread = threading.Thread(target=follow)
    with transaction.atomic():
        mine = User.objects.get(pk=alice.pk)
        user_profile_change(user=mine, email="other@example.com", now=timezone.now())
        thread.start()
        wait_until(waits_for_a_lock, 10, "the link was not held up by the change")
    thread.join()
    alice.refresh_from_db()
    assert (said, alice.email_verified_at) == (["refused"], None)


@pytest.mark.django_db
def test_of_two_changes_of_an_address_each_has_links_of_its_own(alice: User) -> None:
    """Fails where a change goes on from what it read before: both make the same round of links."""
    first, second = (User.objects.get(pk=alice.pk) for _ in range(2))
    user_profile_change(user=first, email="b@example.com", now=timezone.now())
    token = address_link(first).rpartition("/")[2]
    user_profile_change(user=second, email="c@example.com", now=timezone.now())
    with pytest.raises(InvalidInput):
        address_confirm(user=alice, token=token, now=timezone.now())
    assert second.email == "c@example.com"
    second.refresh_from_db()
    assert second.email_verified_at is None


@pytest.mark.parametrize("how", ["closed", "verified meanwhile"])
def test_a_link_that_nobody_needs_any_more_is_not_sent(alice: User, post: None, how: str):
    address_ask(user=alice, now=timezone.now())
    User.objects.update(
        **{"is_active": False} if how == "closed" else {"email_verified_at": timezone.now()}
    )
    letters_sweep()
    assert mail.outbox == [] and Letter.objects.get().due_at is None


@pytest.mark.django_db(transaction=True)
def test_of_twins_that_read_a_letter_at_one_moment_one_sends_it(post: None, settings: Any) -> None:
    """Fails where whoever comes second does not look whether the first has it."""
    line = threading.Barrier(2, timeout=10)

    class Wait:
        """LETTER_RETRY, which each of them reads between looking at the letter and taking it."""

        def __mul__(self, times: int) -> timedelta:
            line.wait()
            return HOUR

    now = timezone.now()
    letter = letter_tell(user=make_user("alice"), kind="key.create", to="a@example.com", now=now)
    assert letter
    settings.LETTER_RETRY = Wait()
    race([lambda: letter_process(letter_id=letter.pk, now=now)] * 2)
    assert len(mail.outbox) == 1
    letter.refresh_from_db()
    assert (letter.tries, letter.due_at) == (1, None)


def test_a_link_greets_nobody_by_a_name_that_a_stranger_chose(alice: User, post: None):
    User.objects.update(username="www.evil.example")
    address_ask(user=alice, now=timezone.now())
    letters_sweep()
    assert mail.outbox[0].body.startswith("Hello,\n") and "evil" not in mail.outbox[0].body


# ── sessions ────────────────────────────────────────────────────────────────
def end() -> datetime:
    return Session.objects.get().expire_date


def test_a_sign_that_is_noted_late_revives_no_session_that_is_over(alice, web, clock):
    key, before = web.session.session_key, end()
    clock.shift(12 * HOUR)
    now = timezone.now()
    session_seen(key, alice.pk, now + 24 * HOUR, now)
    assert end() == before


def test_a_sign_moves_no_end_beyond_the_last_moment(alice, web, clock):
    now = timezone.now()
    session_seen(web.session.session_key, alice.pk, now + HOUR, now)
    assert end() == now + HOUR


def test_a_session_of_nobody_does_not_begin(db, clock):
    store = SessionStore()
    store["choice"] = 1
    store.save()
    session_begin(store.session_key, timezone.now())
    assert dict(SessionStore(store.session_key).items()) == {"choice": 1}


def test_what_is_saved_after_a_log_out_brings_no_session_back(web):
    store = web.session
    assert store["entered_at"]
    web.post("/logout")
    store["choice"] = 1
    with pytest.raises(UpdateError):
        store.save()
    assert not Session.objects.filter(session_key=store.session_key).exists()


def test_what_comes_after_a_log_out_does_not_end_with_the_session_of_before(web, clock):
    clock.shift(11 * HOUR)
    store = web.session
    assert store["entered_at"]
    store.flush()
    store["choice"] = 1
    store.save()
    assert end() - timezone.now() > HOUR
