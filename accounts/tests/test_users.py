"""Users: who may be registered, and what a change of them leaves behind."""

import threading
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import AuditEvent, BrokerageAccount, User
from accounts.selectors import account_for_user, user_by_login
from accounts.services import openings
from accounts.services.users import (
    user_deactivate,
    user_password_change,
    user_profile_change,
    user_reactivate,
    user_register,
)
from speedtrade.lib.errors import Conflict, InvalidInput, NotFound
from speedtrade.testing.cast import PASSWORD, ApiClient, make_user

GOOD = {"username": "dora", "email": "dora@example.com", "password": PASSWORD}


def refused(call: Any, **fields: Any) -> dict[str, str]:
    """field -> code of what a service refuses."""
    with pytest.raises(InvalidInput) as info:
        call(**fields, now=timezone.now())
    assert info.value.status == 400
    return {error.field: error.code for error in info.value.errors}


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("username", "", "min_length"),
        ("username", "ab", "min_length"),
        ("username", "a" * 31, "max_length"),
        ("username", "has blank", "invalid"),
        ("username", "dora@example.com", "invalid"),
        ("username", "semi;colon", "invalid"),
        ("username", "new\nline", "invalid"),
        ("email", "", "required"),
        ("email", "nope", "invalid"),
        ("email", "a b@example.com", "invalid"),
        ("email", f"d@{'e' * 60}.{'f' * 60}.{'g' * 60}.{'h' * 60}.{'i' * 20}.com", "max_length"),
        ("password", "", "password_too_short"),
        ("password", "short-9", "password_too_short"),
        ("password", "1234567890", "password_entirely_numeric"),
        ("password", "dora@example.com", "password_too_similar"),
        ("password", "x" * 257, "max_length"),
    ],
)
def test_a_bad_field_is_refused_and_named(db, field, value, code):
    assert refused(user_register, **{**GOOD, field: value})[field] == code
    assert not User.objects.exists()


@pytest.mark.parametrize("username", ["abc", "a" * 30, "Ünï.cødé-9", "a+b_c"])
def test_good_names_are_taken(db, username):
    assert user_register(**{**GOOD, "username": username}, now=timezone.now()).pk


@pytest.mark.parametrize("password", ["correct horse 9 ", "x9" + "ö" * 254, "pass phrase mit ß"])
def test_long_and_unusual_passwords_are_taken_as_typed(db, password):
    user = user_register(**{**GOOD, "password": password}, now=timezone.now())
    assert user.check_password(password)
    assert not user.check_password(password.strip() + "x")


def test_every_wrong_field_is_named_in_one_answer(db):
    bad = {"username": "", "email": "nope", "password": "1"}
    answer = ApiClient().post("auth/register", bad)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert {error["field"] for error in answer.json()["errors"]} == set(bad)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email": "other@example.com"}, "username"),
        ({"username": "DORA", "email": "other@example.com"}, "username"),
        ({"username": "other"}, "email"),
        ({"username": "other", "email": "DORA@EXAMPLE.COM"}, "email"),
    ],
)
def test_names_and_addresses_are_taken_whatever_their_case(db, changes, field):
    user_register(**GOOD, now=timezone.now())
    assert refused(user_register, **{**GOOD, **changes}) == {field: "unique"}


def test_the_database_itself_refuses_a_second_name_of_another_case(alice):
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create(username="ALICE", email="new@example.com")
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create(username="new", email="Alice@example.com")


@pytest.mark.django_db(transaction=True)
def test_of_ten_registrations_of_one_name_at_once_one_wins_and_the_others_are_told():
    start, results = threading.Barrier(10), []

    def register(number: int) -> None:
        start.wait()
        try:
            user_register(**GOOD, now=timezone.now())
            results.append("won")
        except InvalidInput as error:
            results.append(error.errors[0].code)
        finally:
            connection.close()

    threads = [threading.Thread(target=register, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["unique"] * 9 + ["won"]


@pytest.mark.parametrize(
    ("constraint_of", "field"),
    [("username", "username"), ("email", "email")],
)
def test_who_is_a_moment_too_late_reads_the_same_words(alice, monkeypatch, constraint_of, field):
    """The look before the INSERT sees nothing, as in a race: the constraint speaks instead."""
    monkeypatch.setattr("accounts.services.users._taken", lambda user, fields: [])
    same = {**GOOD, constraint_of: getattr(alice, constraint_of)}
    assert refused(user_register, **same) == {field: "unique"}
    assert User.objects.count() == 1


def test_registering_opens_the_default_paper_account_and_runs_the_openers(db, monkeypatch):
    opened = []
    monkeypatch.setattr(openings, "_OPENERS", [lambda account, now: opened.append((account, now))])
    now = timezone.now()
    user = user_register(**GOOD, now=now)
    account = account_for_user(user=user)
    assert (account.broker, account.mode, account.status) == ("paper", "paper", "active")
    assert opened == [(account, now)]


def test_a_user_without_the_promised_cash_does_not_exist(db, monkeypatch):
    monkeypatch.setattr(openings, "_OPENERS", [])
    with pytest.raises(ImproperlyConfigured):
        user_register(**GOOD, now=timezone.now())

    def fails(account: BrokerageAccount, now: Any) -> None:
        raise Conflict

    monkeypatch.setattr(openings, "_OPENERS", [fails])
    with pytest.raises(Conflict):
        user_register(**GOOD, now=timezone.now())
    assert not User.objects.exists() and not BrokerageAccount.objects.exists()


def test_the_answer_to_a_registration_holds_no_password(db):
    answer = ApiClient().post("auth/register", GOOD)
    assert answer.status_code == 201
    assert {"id", "username", "email", "created_at"} <= set(answer.json())
    assert PASSWORD not in answer.content.decode() and "password" not in answer.json()
    stored = User.objects.get().password
    assert PASSWORD not in stored


def test_a_registration_gives_no_rights_that_were_asked_for(db):
    asked = {**GOOD, "is_staff": True, "is_superuser": True, "id": 99}
    assert ApiClient().post("auth/register", asked).status_code == 201
    user = User.objects.get()
    assert not user.is_staff and not user.is_superuser and user.pk != 99


def test_a_user_is_found_by_name_and_address_of_any_case(alice):
    for name in ("alice", "ALICE", " Alice ", "alice@example.com", "Alice@Example.Com"):
        assert user_by_login(name) == alice
    assert user_by_login("alic") is None and user_by_login("alice@") is None


def test_another_users_account_looks_like_none(alice, charlie):
    theirs = account_for_user(user=charlie)
    for account_id in (theirs.pk, 0, 2**70):
        with pytest.raises(NotFound):
            account_for_user(user=alice, account_id=account_id)


def test_the_profile_takes_a_new_address(alice):
    user_profile_change(user=alice, email="new@example.com", now=timezone.now())
    alice.refresh_from_db()
    assert alice.email == "new@example.com"
    assert AuditEvent.objects.filter(action="user.email_change", actor=alice).exists()


def test_the_profile_refuses_what_is_taken_or_wrong(alice, charlie):
    def change(**fields: Any) -> None:
        user_profile_change(user=alice, **fields)

    assert refused(change, email="CHARLIE@example.com") == {"email": "unique"}
    assert refused(change, email="nope") == {"email": "invalid"}
    alice.refresh_from_db()
    assert alice.email == "alice@example.com"
    # One's own address in another case is no clash.
    user_profile_change(user=alice, email="ALICE@example.com", now=timezone.now())


def test_a_new_password_needs_the_old_one_and_must_be_good(alice):
    def change(**fields: Any) -> None:
        user_password_change(user=alice, **fields)

    wrong = refused(change, current_password="wrong", new_password="another-horse-7-battery")
    assert wrong == {"current_password": "wrong_password"}
    assert set(refused(change, current_password=PASSWORD, new_password="1")) == {"new_password"}
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def test_closing_and_reopening_a_user_needs_a_reason_and_leaves_a_row(alice, bob):
    with pytest.raises(InvalidInput):
        user_deactivate(user=alice, actor=bob, reason="  ", now=timezone.now())
    user_deactivate(user=alice, actor=bob, reason="asked by phone", now=timezone.now())
    with pytest.raises(Conflict):
        user_deactivate(user=alice, actor=bob, reason="again", now=timezone.now())
    user_reactivate(user=alice, actor=bob, reason="asked again", now=timezone.now())
    rows = AuditEvent.objects.filter(target=f"user:{alice.pk}", actor=bob).order_by("id")
    assert [(row.action, row.reason) for row in rows] == [
        ("user.deactivate", "asked by phone"),
        ("user.reactivate", "asked again"),
    ]


@pytest.mark.parametrize(
    "statement", ["UPDATE {} SET reason = 'x'", "DELETE FROM {}", "TRUNCATE {} CASCADE"]
)
def test_the_audit_is_append_only(alice, statement):
    assert AuditEvent.objects.exists()
    table = AuditEvent._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # TRUNCATE waits for no pending check
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            cursor.execute(statement.format(table))


def test_the_house_hashes_with_argon2_and_still_reads_bcrypt(settings):
    from django.contrib.auth.hashers import check_password, identify_hasher, make_password

    settings.PASSWORD_HASHERS = [h for h in settings.PASSWORD_HASHERS if "MD5" not in h]
    encoded = make_password(PASSWORD)
    assert encoded.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
    old = make_password(PASSWORD, hasher="bcrypt")
    assert identify_hasher(old).algorithm == "bcrypt" and check_password(PASSWORD, old)


def test_a_made_user_has_an_account(db):
    assert account_for_user(user=make_user("eve")).is_default
