"""API keys: the one module that knows how one looks and whether it still opens anything.

A key is `stk_`, eight characters that find its row, and 32 random bytes. Neither the key nor its
random part is stored, logged or shown again: the row has a SHA-256 of the whole.
"""

import hashlib
import ipaddress
import re
import secrets
import string
from datetime import datetime

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import CharField, Q
from django.utils.crypto import constant_time_compare

from accounts.models import ApiKey
from accounts.services.audit import audit_record
from speedtrade.lib.compiled import Compiled, Given
from speedtrade.lib.errors import DomainError
from speedtrade.lib.later import later
from speedtrade.lib.ratelimit import RateLimited, address_counted, rate_take

logger = structlog.get_logger(__name__)

MARK = "stk_"
UNKNOWN = "unknown_key"
TOO_MANY = "Too many API keys that nobody has came from your address. Wait, then use the right one."
_FIND = 8  # characters that find the row
_SECRET = 32  # random bytes behind them
_FORM = re.compile(r"(stk_[a-z0-9]{8})[A-Za-z0-9_-]{43}", re.ASCII)
_ALPHABET = string.ascii_lowercase + string.digits
_NOBODY = "0" * 64  # compared with where there is no row, so that both take as long
_KEY = Compiled(
    lambda: ApiKey.objects.select_related("user").filter(prefix=Given("prefix", CharField()))
)


class InvalidKey(DomainError):
    """The key is unknown, over, revoked, or used from where it may not be."""

    code, status = "invalid_key", 401

    def __init__(self, why: str, key: ApiKey | None = None) -> None:
        super().__init__(why)
        self.key = key  # the one that was refused, where there is one


def key_draw() -> tuple[str, str]:
    """A new key and its prefix."""
    prefix = MARK + "".join(secrets.choice(_ALPHABET) for _ in range(_FIND))
    return prefix + secrets.token_urlsafe(_SECRET), prefix


def key_digest(raw: str) -> str:
    """What is stored of a key."""
    return hashlib.sha256(raw.encode()).hexdigest()


def key_authenticate(*, raw: str, address: str, guess: bool = True, now: datetime) -> ApiKey:
    """The living key that `raw` is, with its user, in one query; raises InvalidKey.

    RateLimited for one that nobody has, where too many of those came from the address. It is looked
    up all the same: a stranger at an address, or a forgotten program, must not shut out the one
    beside it. One that was let in before (`guess` False) counts never.
    `address` is where it is used from, "" where nobody knows. The user comes bound to the account
    of the key, if it has one. Who holds the whole key is told why it does not work; anybody else
    learns nothing.
    """
    key = key_find(raw)
    if key is None:
        if guess:
            who, rate = address_counted(address), settings.RATE_UNKNOWN_KEYS_PER_ADDRESS
            rate_take(name=UNKNOWN, who=f"address:{who}", rate=rate, detail=TOO_MANY)
        raise InvalidKey("There is no such API key. Make one in the settings, under Developers.")
    if why := _why_not(key, address, now):
        key_refused(key, why, address, now)
        raise InvalidKey(why, key)
    key.user.only_account_id = key.account_id
    if key.last_used_at is None or now - key.last_used_at >= settings.API_KEY_USE_NOTED:
        later(key_touch, key.pk, address, now)
    return key


def key_find(raw: str) -> ApiKey | None:
    """The key that `raw` is, dead or alive; one query and one comparison, whatever is asked."""
    form = _FORM.fullmatch(raw)
    key = _KEY.first(prefix=form[1] if form else "")
    same = constant_time_compare(key.digest if key else _NOBODY, key_digest(raw))
    return key if same else None


def _why_not(key: ApiKey, address: str, now: datetime) -> str:
    """Why this key opens nothing now; "" where it does."""
    if not key.user.is_active:
        return "The user of this API key is closed. Support can open it again."
    if key.revoked_at is not None:
        return "This API key was revoked. Make a new one in the settings, under Developers."
    if key.expires_at <= now:
        return "This API key has expired. Make a new one in the settings, under Developers."
    if key.networks and not _inside(address, key.networks):
        return f"This API key may not be used from {address or 'here'}. It names its addresses."
    return ""


def _inside(address: str, networks: list[str]) -> bool:
    try:
        here = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(here in ipaddress.ip_network(network) for network in networks)


def key_touch(key_id: int, address: str, now: datetime) -> None:
    """Note that a key was used. Never waits: whoever holds the row notes something newer."""
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()  # this thread has no request that would do it
    with transaction.atomic():
        due = Q(last_used_at=None) | Q(last_used_at__lte=now - settings.API_KEY_USE_NOTED)
        free = ApiKey.objects.select_for_update(no_key=True, skip_locked=True)
        if free.filter(due, pk=key_id).first() is not None:
            ApiKey.objects.filter(pk=key_id).update(last_used_at=now, last_used_ip=address or None)


def key_refused(key: ApiKey, why: str, address: str, now: datetime) -> None:
    """Write down that a key of ours was refused; of a program that goes on, now and then."""
    try:
        rate_take(name="key_refused", who=key.prefix, rate=settings.RATE_KEY_REFUSALS_NOTED)
    except RateLimited:
        return
    logger.warning("api_key_refused", key=key.prefix, user_id=key.user_id, why=why)
    audit_record(
        actor=None,
        action="key.refused",
        target=f"user:{key.user_id}",
        data={"key": key.prefix, "why": why, "address": address},
        now=now,
    )
