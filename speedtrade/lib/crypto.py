"""Secrets at rest: sealed by the first of FIELD_KEYS, opened by any of them, bound to their owner.

It fails closed: what cannot be opened raises, and neither ciphertext nor a guess comes back. Fernet
knows no associated data, so the plaintext carries what it belongs to, and opening compares: a
ciphertext that was moved to another row is as dead as one that was tampered with.
"""

import contextlib
import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_BYTES = 32


class Unreadable(Exception):
    """This cannot be opened: another key, another owner, or somebody changed it. Says no more."""

    def __init__(self) -> None:
        super().__init__("A stored secret cannot be read.")


def seal(secret: Mapping[str, str], *, owner: Mapping[str, Any]) -> str:
    """The ciphertext of a secret that belongs to `owner`, and opens for nothing else."""
    plain = json.dumps({"owner": _named(owner), "secret": dict(secret)})
    return _sealer(tuple(settings.FIELD_KEYS)).encrypt(plain.encode()).decode("ascii")


def unseal(token: str, *, owner: Mapping[str, Any]) -> dict[str, str]:
    """The secret in a ciphertext of `owner`; raises Unreadable for every other one."""
    content = _open(token)
    if content.get("owner") != _named(owner):
        raise Unreadable
    secret: dict[str, str] = content["secret"]
    return secret


def sealed_at(token: str) -> datetime:
    """When a ciphertext of ours was made, to the second; raises Unreadable for what is none."""
    with contextlib.suppress(InvalidToken, ValueError):
        made = _sealer(tuple(settings.FIELD_KEYS)).extract_timestamp(token.encode())
        return datetime.fromtimestamp(made, UTC)
    raise Unreadable


def fingerprint(text: str, *, purpose: str) -> str:
    """A keyed hash by which equal secrets are found; nobody without FIELD_KEYS can test a guess."""
    return fingerprints(text, purpose=purpose)[0]


def fingerprints(text: str, *, purpose: str) -> list[str]:
    """The same under each of FIELD_KEYS, the first one first: rows may still carry an older one."""
    return [
        hmac.new(_derived(key, f"fingerprint:{purpose}"), text.encode(), hashlib.sha256).hexdigest()
        for key in settings.FIELD_KEYS
    ]


def _named(owner: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in owner.items()}


def _open(token: str) -> dict[str, Any]:
    # Raised below and not in a handler: the first error may quote what was read.
    content = None
    with contextlib.suppress(InvalidToken, ValueError):
        content = json.loads(_sealer(tuple(settings.FIELD_KEYS)).decrypt(token.encode()))
    if not isinstance(content, dict):
        raise Unreadable
    return content


@lru_cache(maxsize=4)
def _sealer(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(urlsafe_b64encode(_derived(key, "seal"))) for key in keys])


@lru_cache(maxsize=32)
def _derived(key: str, purpose: str) -> bytes:
    """A key of its own for each purpose, from a secret of any form."""
    return HKDF(SHA256(), _BYTES, salt=None, info=f"speedtrade:{purpose}".encode()).derive(
        key.encode()
    )
