"""Tokens: who may still use one, and who may not any more."""

import base64
import json
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from structlog.testing import capture_logs

from accounts import tokens
from accounts.models import AuditEvent, TokenFamily, User
from accounts.services import families
from accounts.services.families import token_family_revoke
from accounts.services.users import user_deactivate, user_password_change
from accounts.tasks import families_clean
from accounts.tokens import (
    InvalidToken,
    authenticate_token,
    families_expire,
    tokens_issue,
    tokens_revoke,
    tokens_revoke_all,
    tokens_rotate,
)
from speedtrade.lib.errors import Conflict, InvalidInput, NotFound
from speedtrade.testing.cast import PASSWORD, ApiClient, make_user

ME = "auth/me"


def claims_of(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def signed(claims: dict[str, Any], key: str = "", algorithm: str = "HS256") -> str:
    return jwt.encode(claims, key or settings.JWT_SIGNING_KEY, algorithm)


def test_an_access_token_says_who_it_is_in_one_query(alice, django_assert_num_queries):
    pair = tokens_issue(user=alice, now=timezone.now())
    with django_assert_num_queries(1):
        assert authenticate_token(pair.access_token) == alice


def test_tokens_carry_issuer_audience_type_and_the_lives_of_the_settings(alice):
    now = timezone.now().replace(microsecond=0)
    pair = tokens_issue(user=alice, now=now)
    access, refresh = claims_of(pair.access_token), claims_of(pair.refresh_token)
    for claims, kind, life in (
        (access, "access", timedelta(minutes=30)),
        (refresh, "refresh", timedelta(days=1)),
    ):
        assert claims["token_type"] == kind
        assert claims["iss"] == settings.JWT_ISSUER and claims["aud"] == settings.JWT_AUDIENCE
        assert claims["exp"] == int((now + life).timestamp())
    assert pair.expires_in == 1800


def _changed(**changes: Any) -> Callable[[str], str]:
    return lambda token: signed({**claims_of(token), **changes})


def _without(name: str) -> Callable[[str], str]:
    return lambda token: signed({k: v for k, v in claims_of(token).items() if k != name})


def _alg_none(token: str) -> str:
    head = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode())
    return f"{head.decode().rstrip('=')}.{token.split('.')[1]}."


def _tampered(token: str) -> str:
    head, _, signature = token.split(".")
    body = json.dumps({**claims_of(token), "sub": "1"}).encode()
    return f"{head}.{base64.urlsafe_b64encode(body).decode().rstrip('=')}.{signature}"


FORGERIES: dict[str, Callable[[str], str]] = {
    "no signature": _alg_none,
    "changed body": _tampered,
    "the key of cookies": lambda token: signed(claims_of(token), settings.SECRET_KEY),
    "another algorithm": lambda token: signed(claims_of(token), algorithm="HS512"),
    "another audience": _changed(aud="elsewhere"),
    "another issuer": _changed(iss="elsewhere"),
    "no audience": _without("aud"),
    "no issuer": _without("iss"),
    "no type": _without("token_type"),
    "no expiry": _without("exp"),
    "no family": _without("fam"),
    "an unknown family": _changed(fam=uuid.uuid4().hex),
    "a broken family": _changed(fam="x"),
    "expired": _changed(exp=1_000_000_000),
    "text": lambda token: "not.a.token",
    "nothing": lambda token: "",
    "bytes that are no text": lambda token: "\xff\xfe",
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_token_is_a_401_problem_with_a_challenge(alice, forgery):
    good = tokens_issue(user=alice, now=timezone.now()).access_token
    assert ApiClient(token=good).get(ME).status_code == 200
    answer = ApiClient().get(ME, Authorization=f"Bearer {FORGERIES[forgery](good)}")
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert answer.json()["code"] == "invalid_token"


FORMER_KEY = "a-former-signing-key-" * 2


@pytest.mark.parametrize(
    "changes", [{"aud": "elsewhere"}, {"iss": "elsewhere"}, {"exp": 1_000_000_000}]
)
def test_a_former_key_signs_nothing_that_the_present_key_may_not(alice, settings, changes):
    settings.JWT_SIGNING_KEY_FALLBACKS = [FORMER_KEY]
    claims = claims_of(tokens_issue(user=alice, now=timezone.now()).access_token)
    assert authenticate_token(signed(claims, FORMER_KEY)) == alice
    with pytest.raises(InvalidToken):
        authenticate_token(signed({**claims, **changes}, FORMER_KEY))


@pytest.mark.parametrize("key", ["", FORMER_KEY], ids=["present key", "former key"])
def test_a_token_works_on_for_the_leeway_and_no_longer(alice, settings, key):
    settings.JWT_SIGNING_KEY_FALLBACKS = [FORMER_KEY]
    now = timezone.now()
    claims = claims_of(tokens_issue(user=alice, now=now).access_token)
    within, beyond = now - settings.JWT_LEEWAY / 2, now - 2 * settings.JWT_LEEWAY
    assert authenticate_token(signed({**claims, "exp": int(within.timestamp())}, key)) == alice
    with pytest.raises(InvalidToken):
        authenticate_token(signed({**claims, "exp": int(beyond.timestamp())}, key))


def test_a_refresh_token_opens_no_door_and_an_access_token_refreshes_nothing(alice):
    pair = tokens_issue(user=alice, now=timezone.now())
    assert ApiClient(token=pair.refresh_token).get(ME).status_code == 401
    answer = ApiClient().post("auth/refresh", {"refresh_token": pair.access_token})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


def test_a_refresh_gives_a_new_pair_of_the_same_family(alice):
    first = tokens_issue(user=alice, now=timezone.now())
    second = tokens_rotate(refresh_token=first.refresh_token, now=timezone.now())
    third = tokens_rotate(refresh_token=second.refresh_token, now=timezone.now())
    assert len({first.refresh_token, second.refresh_token, third.refresh_token}) == 3
    assert authenticate_token(third.access_token) == alice
    assert TokenFamily.objects.count() == 1


def test_a_replay_kills_the_family_with_its_access_tokens_and_no_other(alice):
    other = tokens_issue(user=alice, now=timezone.now())
    first = tokens_issue(user=alice, now=timezone.now())
    second = tokens_rotate(refresh_token=first.refresh_token, now=timezone.now())
    with pytest.raises(InvalidToken):
        tokens_rotate(refresh_token=first.refresh_token, now=timezone.now())
    for dead in (first.access_token, second.access_token):
        with pytest.raises(InvalidToken):
            authenticate_token(dead)
    with pytest.raises(InvalidToken):
        tokens_rotate(refresh_token=second.refresh_token, now=timezone.now())
    assert authenticate_token(other.access_token) == alice


def test_a_family_ends_after_its_life_however_often_it_is_refreshed(alice, settings, time_machine):
    settings.REFRESH_FAMILY_LIFETIME = timedelta(hours=30)
    time_machine.move_to(timezone.now())
    pair = tokens_issue(user=alice, now=timezone.now())
    for _ in range(2):
        time_machine.shift(timedelta(hours=14))
        pair = tokens_rotate(refresh_token=pair.refresh_token, now=timezone.now())
    time_machine.shift(timedelta(hours=3))
    with pytest.raises(InvalidToken):
        tokens_rotate(refresh_token=pair.refresh_token, now=timezone.now())


def _race(refresh_token: str, twins: int) -> list[str]:
    """What `twins` threads get that refresh with one token at the same moment."""
    start, results = threading.Barrier(twins), []

    def refresh() -> None:
        start.wait()
        try:
            tokens_rotate(refresh_token=refresh_token, now=timezone.now())
            results.append("won")
        except InvalidToken:
            results.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=refresh) for _ in range(twins)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.django_db(transaction=True)
def test_of_twenty_refreshes_at_once_one_wins():
    pair = tokens_issue(user=make_user("alice"), now=timezone.now())
    results = _race(pair.refresh_token, 20)
    assert results.count("won") == 1 and results.count("refused") == 19


@pytest.mark.django_db(transaction=True)
def test_without_the_condition_several_refreshes_win(monkeypatch):
    """The guard shown: the UPDATE without `current=` lets every twin in."""
    pair = tokens_issue(user=make_user("alice"), now=timezone.now())
    plain = TokenFamily.objects.filter

    def careless(*args: Any, **conditions: Any) -> Any:
        conditions.pop("current", None)
        return plain(*args, **conditions)

    monkeypatch.setattr(TokenFamily.objects, "filter", careless)
    assert _race(pair.refresh_token, 20).count("won") > 1


def _password_changed(user: User) -> None:
    user_password_change(
        user=user,
        current_password=PASSWORD,
        new_password="another-horse-7-battery",
        now=timezone.now(),
    )


def _deactivated(user: User) -> None:
    user_deactivate(user=user, actor=user, reason="asked for it", now=timezone.now())


def _password_set_past_our_service(user: User) -> None:
    user.set_password("set-by-manage.py-5")
    user.save(update_fields=["password"])


def _closed_past_our_service(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


@pytest.mark.parametrize(
    "end",
    [_password_changed, _deactivated, _password_set_past_our_service, _closed_past_our_service],
)
def test_all_tokens_of_a_user_die_at_once(alice, charlie, end):
    mine = [tokens_issue(user=alice, now=timezone.now()) for _ in range(2)]
    theirs = tokens_issue(user=charlie, now=timezone.now())
    end(alice)
    for pair in mine:
        assert ApiClient(token=pair.access_token).get(ME).status_code == 401
        refreshed = ApiClient().post("auth/refresh", {"refresh_token": pair.refresh_token})
        assert refreshed.status_code == 401
    assert ApiClient(token=theirs.access_token).get(ME).status_code == 200


def test_logging_out_kills_the_family_even_with_a_token_that_was_used(alice):
    first = tokens_issue(user=alice, now=timezone.now())
    second = tokens_rotate(refresh_token=first.refresh_token, now=timezone.now())
    assert (
        ApiClient().post("auth/logout", {"refresh_token": first.refresh_token}).status_code == 204
    )
    with pytest.raises(InvalidToken):
        authenticate_token(second.access_token)
    # Twice is no harm.
    tokens_revoke(refresh_token=first.refresh_token, now=timezone.now())


def test_logging_out_with_no_token_of_ours_is_refused(alice):
    pair = tokens_issue(user=alice, now=timezone.now())
    assert ApiClient().post("auth/logout", {"refresh_token": "x"}).status_code == 401
    answer = ApiClient().post("auth/logout", {"refresh_token": pair.access_token})
    assert answer.status_code == 401
    assert ApiClient().post("auth/logout", {}).status_code == 400
    assert authenticate_token(pair.access_token) == alice


def test_the_cleaning_deletes_dead_families_and_spares_the_living(alice, time_machine):
    time_machine.move_to(timezone.now())
    old = tokens_issue(user=alice, now=timezone.now())
    time_machine.shift(timedelta(hours=23))
    young = tokens_issue(user=alice, now=timezone.now())
    time_machine.shift(timedelta(hours=2))
    assert families_clean() == 1
    assert authenticate_token_family(young) == TokenFamily.objects.get().pk.hex
    assert claims_of(old.refresh_token)["fam"] != TokenFamily.objects.get().pk.hex


def authenticate_token_family(pair: tokens.TokenPair) -> str:
    return str(claims_of(pair.refresh_token)["fam"])


# ── what the row of a family says ────────────────────────────────────────────
def family_of(pair: tokens.TokenPair) -> TokenFamily:
    return TokenFamily.objects.get(pk=uuid.UUID(authenticate_token_family(pair)))


def test_a_family_and_its_tokens_say_the_same(alice):
    now = timezone.now()
    pair = tokens_issue(user=alice, now=now)
    row = family_of(pair)
    assert (row.user, row.created_at, row.expires_at) == (alice, now, now + timedelta(days=1))
    assert row.auth_hash == alice.get_session_auth_hash()
    later = now + timedelta(hours=5)
    second = tokens_rotate(refresh_token=pair.refresh_token, now=later)
    row.refresh_from_db()
    assert (row.created_at, row.expires_at) == (now, later + timedelta(days=1))
    access, refresh = claims_of(second.access_token), claims_of(second.refresh_token)
    assert refresh["exp"] == int(row.expires_at.timestamp())
    assert uuid.UUID(refresh["jti"]) == row.current != uuid.UUID(access["jti"])
    for claims in (access, refresh):
        assert (claims["sub"], claims["iat"]) == (str(alice.pk), int(later.timestamp()))
        assert uuid.UUID(claims["fam"]) == row.pk


def test_a_family_says_when_and_why_it_died_the_first_time(alice):
    now = timezone.now()
    first = tokens_issue(user=alice, now=now)
    second = tokens_rotate(refresh_token=first.refresh_token, now=now)
    with capture_logs() as logs, pytest.raises(InvalidToken):
        tokens_rotate(refresh_token=first.refresh_token, now=now + timedelta(seconds=1))
    row = family_of(first)
    assert (row.revoked_at, row.revoke_reason) == (now + timedelta(seconds=1), "replay")
    [log] = logs
    assert (log["event"], log["log_level"]) == ("refresh_token_replayed", "warning")
    assert (log["user_id"], log["family"]) == (alice.pk, str(row.pk))
    tokens_revoke(refresh_token=second.refresh_token, now=now + timedelta(hours=1))
    assert family_of(first).revoked_at == row.revoked_at


def test_logging_out_and_the_end_of_all_say_so(alice, charlie):
    now = timezone.now()
    out, other = tokens_issue(user=alice, now=now), tokens_issue(user=alice, now=now)
    theirs = tokens_issue(user=charlie, now=now)
    tokens_revoke(refresh_token=out.refresh_token, now=now)
    tokens_revoke_all(user=alice, now=now + timedelta(seconds=2), reason="of the test")
    row = family_of(out)
    assert (row.revoked_at, row.revoke_reason) == (now, "logout")
    row = family_of(other)
    assert (row.revoked_at, row.revoke_reason) == (now + timedelta(seconds=2), "of the test")
    assert family_of(theirs).revoked_at is None


@pytest.mark.parametrize("early, passes", [(1, True), (0, False), (-1, False)])
def test_a_family_ends_at_its_very_end(alice, early, passes):
    """By its row: the token itself is looked at with the clock of the machine."""
    pair = tokens_issue(user=alice, now=timezone.now())
    now = family_of(pair).expires_at - timedelta(microseconds=early)
    if passes:
        tokens_rotate(refresh_token=pair.refresh_token, now=now)
        return
    with pytest.raises(InvalidToken):
        tokens_rotate(refresh_token=pair.refresh_token, now=now)


@pytest.mark.parametrize("older, deleted", [(0, 0), (1, 1)])
def test_a_family_is_kept_as_long_as_an_access_token_of_it_may_live(alice, older, deleted):
    now = timezone.now()
    family = family_of(tokens_issue(user=alice, now=now))
    family.expires_at = now - timedelta(minutes=30, seconds=10, microseconds=older)
    family.save()
    assert families_expire(now=now) == deleted
    assert TokenFamily.objects.count() == 1 - deleted


# ── support ends a log-in ────────────────────────────────────────────────────
def test_support_ends_one_log_in_once_with_a_reason(alice, bob, monkeypatch):
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(families, "live_publish", lambda **words: told.append(words))
    now = timezone.now()
    pair, other = tokens_issue(user=alice, now=now), tokens_issue(user=alice, now=now)
    given: dict[str, Any] = {"family_id": family_of(pair).pk, "actor": bob, "now": now}
    with pytest.raises(InvalidInput):
        token_family_revoke(**given, reason=" ")
    row = token_family_revoke(**given, reason=" It leaked. ")
    stored = family_of(pair)
    assert row == stored and (stored.revoked_at, stored.revoke_reason) == (now, "support")
    with pytest.raises(InvalidToken):
        authenticate_token(pair.access_token)
    assert authenticate_token(other.access_token) == alice
    event = AuditEvent.objects.get(action="tokens.revoke")
    assert (event.actor, event.target) == (bob, f"tokenfamily:{row.pk}")
    assert (event.reason, event.data, event.at) == ("It leaked.", {"user": alice.pk}, now)
    assert told == [{"user_id": alice.pk, "kind": "logout", "thing_id": alice.pk}]
    with pytest.raises(Conflict) as late:
        token_family_revoke(**given, reason="Again.")
    assert late.value.detail == f"It has been dead since {now:%Y-%m-%d %H:%M} UTC."


def test_support_ends_no_log_in_that_is_none(bob):
    with pytest.raises(NotFound):
        token_family_revoke(
            family_id=uuid.uuid4(), actor=bob, reason="It leaked.", now=timezone.now()
        )
