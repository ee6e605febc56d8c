"""Secrets at rest: sealed for one owner, by the newest key, and closed to all else."""

import json
import traceback

import pytest

from speedtrade.lib import crypto
from speedtrade.lib.crypto import Unreadable, fingerprint, fingerprints, seal, unseal

ALICE = {"account": 1, "user": 7, "mode": "paper"}
SECRET = {"api_key": "PKCANARY", "secret_key": "canary-of-crypto"}
OLD, NEW = "old-" + "o" * 40, "new-" + "n" * 40


def test_what_was_sealed_opens_for_its_owner_and_shows_nothing():
    token = seal(SECRET, owner=ALICE)
    assert unseal(token, owner=ALICE) == SECRET
    assert "canary" not in token and seal(SECRET, owner=ALICE) != token


@pytest.mark.parametrize(
    "other", [{"account": 2}, {"user": 8}, {"mode": "live"}, {"account": "1 "}, {"more": 1}]
)
def test_a_ciphertext_that_was_moved_opens_nothing(other):
    token = seal(SECRET, owner=ALICE)
    with pytest.raises(Unreadable):
        unseal(token, owner={**ALICE, **other})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: "",
        lambda token: "x",
        lambda token: "A" + token,
        lambda token: token[:-1],
        lambda token: token[:40] + ("A" if token[40] != "A" else "B") + token[41:],
        lambda token: json.dumps({"owner": ALICE, "secret": SECRET}),
    ],
)
def test_what_was_tampered_with_opens_nothing_and_is_not_handed_back(spoil):
    token = spoil(seal(SECRET, owner=ALICE))
    with pytest.raises(Unreadable) as refused:
        unseal(token, owner=ALICE)
    said = "".join(traceback.format_exception(refused.value))
    assert "canary" not in said and (not token or len(token) < 9 or token not in said)


def test_the_first_key_seals_and_every_key_opens(settings):
    settings.FIELD_KEYS = [OLD]
    before = seal(SECRET, owner=ALICE)
    settings.FIELD_KEYS = [NEW, OLD]
    assert unseal(before, owner=ALICE) == SECRET
    after = seal(SECRET, owner=ALICE)
    settings.FIELD_KEYS = [NEW]
    assert unseal(after, owner=ALICE) == SECRET
    with pytest.raises(Unreadable):
        unseal(before, owner=ALICE)


def test_without_a_key_nothing_is_sealed(settings):
    settings.FIELD_KEYS = []
    with pytest.raises(ValueError, match="requires at least one"):
        seal(SECRET, owner=ALICE)


def test_the_keys_of_cookies_open_nothing(settings):
    token = seal(SECRET, owner=ALICE)
    settings.FIELD_KEYS = [settings.SECRET_KEY]
    with pytest.raises(Unreadable):
        unseal(token, owner=ALICE)


def test_a_fingerprint_says_that_two_are_equal_and_needs_the_key(settings):
    settings.FIELD_KEYS = [OLD]
    old = fingerprint("PKCANARY", purpose="key")
    assert old == fingerprint("PKCANARY", purpose="key")
    assert old != fingerprint("PKCANARX", purpose="key")
    assert old != fingerprint("PKCANARY", purpose="other")
    settings.FIELD_KEYS = [NEW, OLD]
    new, *older = fingerprints("PKCANARY", purpose="key")
    assert new == fingerprint("PKCANARY", purpose="key") != old
    assert older == [old]


def test_sealing_and_fingerprints_use_keys_of_their_own():
    made = {crypto._derived(OLD, purpose) for purpose in ("seal", "fingerprint:key")}
    assert len(made) == 2 and OLD.encode() not in made
