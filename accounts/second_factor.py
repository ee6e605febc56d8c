"""The one module that knows django-allauth: second factors as rows, and how each is checked.

allauth makes and checks codes and passkeys; ours are what it leaves open. Its secrets are sealed
with FIELD_KEYS for their owner. A code of an app works once: the row remembers the counter of the
last one, under a lock, where allauth asks a cache that each process has for itself. Its pages and
log-in stages are not used (docs/adr/0013-second-factors.md).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import qrcode
from allauth.core.context import request_context
from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa import app_settings
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.models import User
from speedtrade.lib.crypto import Unreadable, seal, sealed_at, unseal

Kind = Authenticator.Type
FACTORS = (Kind.TOTP, Kind.WEBAUTHN)  # recovery codes stand in for one; alone they are none
LAST_COUNTER = "last_counter"  # in the row of an app: the time step of the last code that was used
_owner: ContextVar[Mapping[str, object]] = ContextVar("second_factor_owner")


class HouseAdapter(DefaultMFAAdapter):
    """What allauth lets a house decide: how secrets rest, and under which name it is known."""

    def encrypt(self, text: str) -> str:
        return seal({"text": text}, owner=_owner.get())

    def decrypt(self, encrypted_text: str) -> str:
        return unseal(encrypted_text, owner=_owner.get())["text"]

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        return {**super().get_public_key_credential_rp_entity(), "name": settings.MFA_TOTP_ISSUER}


@contextmanager
def _owned_by(user_id: int) -> Iterator[None]:
    """Whose secrets are sealed and opened in here; outside of it every one raises LookupError."""
    token = _owner.set({"user": user_id, "purpose": "second factor"})
    try:
        yield
    finally:
        _owner.reset(token)


@dataclass(frozen=True, slots=True)
class Offer:
    """A secret for an app, before it is anybody's: `path` draws its QR code on `size` squares."""

    secret: str
    sealed: str
    url: str
    path: str
    size: int


def has_factor(user: User) -> bool:
    """Whether this user's log-in asks for more than the password."""
    return Authenticator.objects.filter(user=user, type__in=FACTORS).exists()


def protected_ids() -> set[int]:
    """The ids of all users whose log-in asks for more than the password."""
    return set(Authenticator.objects.filter(type__in=FACTORS).values_list("user_id", flat=True))


def has_passkey(user: User) -> bool:
    """Whether a browser can be asked for a passkey of this user."""
    return Authenticator.objects.filter(user=user, type=Kind.WEBAUTHN).exists()


def factors_of(user: User) -> QuerySet[Authenticator]:
    """The rows of a user's app and passkeys, oldest first."""
    return Authenticator.objects.filter(user=user, type__in=FACTORS).order_by("created_at", "pk")


def factor_name(row: Authenticator) -> str:
    """What its owner calls it."""
    return (
        str(row.data.get("name") or "Passkey") if row.type == Kind.WEBAUTHN else "Authenticator app"
    )


def app_offer(user: User, sealed: str = "") -> Offer:
    """A new secret, or the one that was offered before; raises Unreadable for anybody else's."""
    with _owned_by(user.pk):
        adapter = HouseAdapter()
        secret = adapter.decrypt(sealed) if sealed else generate_totp_secret()
        sealed = sealed or adapter.encrypt(secret)
    issuer = settings.MFA_TOTP_ISSUER
    label = quote(f"{issuer}:{user.username}")
    asked = urlencode({"secret": secret, "issuer": issuer}, quote_via=quote)
    url = f"otpauth://totp/{label}?{asked}"
    path, size = _qr(url)
    return Offer(secret, sealed, url, path, size)


def app_code_counter(secret: str, code: str, now: datetime) -> int | None:
    """The time step that `code` is right for, one before and after allowed; None for a wrong one.

    RFC 6238, section 5.2: a step of 30 seconds, and one step for clocks that differ.
    """
    current = int(now.timestamp()) // app_settings.TOTP_PERIOD
    tolerance = app_settings.TOTP_TOLERANCE
    for counter in range(current - tolerance, current + tolerance + 1):
        if compare_user_code(actual=code, expected=format_hotp_value(hotp_value(secret, counter))):
            return counter
    return None


@transaction.atomic
def app_add(user: User, *, sealed: str, code: str, now: datetime) -> bool:
    """Make an offered secret this user's, once its app has shown a right code.

    Raises Unreadable for an offer of another user, or older than FACTOR_OFFERED_FOR.
    """
    if now - sealed_at(sealed) > settings.FACTOR_OFFERED_FOR:
        raise Unreadable
    with _owned_by(user.pk):
        secret = HouseAdapter().decrypt(sealed)
        counter = app_code_counter(secret, code, now)
        if counter is None:
            return False
        row = TOTP.activate(user, secret).instance
    row.data[LAST_COUNTER] = counter
    row.save(update_fields=["data"])
    return True


@transaction.atomic
def code_use(user: User, code: str, now: datetime) -> str:
    """Use up a code of the app or a recovery code: "totp", "recovery_codes", or "" for a wrong one.

    The row is locked while it is compared, so of twins that race one wins. Raises Unreadable where
    the secret cannot be opened: then no code is right.
    """
    rows = Authenticator.objects.select_for_update(no_key=True).filter(
        user=user, type__in=(Kind.TOTP, Kind.RECOVERY_CODES)
    )
    for row in rows.order_by("pk"):
        with _owned_by(user.pk):
            used = _app_code_use(row, code, now) if row.type == Kind.TOTP else _spare_use(row, code)
        if used:
            Authenticator.objects.filter(pk=row.pk).update(last_used_at=now)
            return str(row.type)
    return ""


def codes_renew(user: User) -> list[str]:
    """New recovery codes, in the clear this once; older ones are worth nothing."""
    Authenticator.objects.filter(user=user, type=Kind.RECOVERY_CODES).delete()
    with _owned_by(user.pk):
        return list(RecoveryCodes.activate(user).generate_codes())


def codes_left(user: User) -> int:
    """How many recovery codes of this user were not used."""
    row = Authenticator.objects.filter(user=user, type=Kind.RECOVERY_CODES).first()
    used = int(row.data["used_mask"]).bit_count() if row else app_settings.RECOVERY_CODE_COUNT
    return int(app_settings.RECOVERY_CODE_COUNT) - used


def factors_forget(user: User, pk: int | None = None) -> int:
    """Delete one factor, or all without `pk`; codes go with the last one. How many factors went."""
    gone = factors_of(user) if pk is None else factors_of(user).filter(pk=pk)
    count = gone.count()
    gone.delete()
    if not has_factor(user):
        Authenticator.objects.filter(user=user, type=Kind.RECOVERY_CODES).delete()
    return count


def factors_rotate() -> tuple[int, list[int]]:
    """Seal every secret anew with the first of FIELD_KEYS; (how many, users of those left alone).

    One transaction for each: what was done stays done.
    """
    done, unreadable = 0, []
    rows = Authenticator.objects.filter(type__in=(Kind.TOTP, Kind.RECOVERY_CODES))
    for pk in rows.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            row = Authenticator.objects.select_for_update().filter(pk=pk).first()
            if row is None:
                continue
            name = "secret" if row.type == Kind.TOTP else "seed"
            adapter = HouseAdapter()
            try:
                with _owned_by(row.user_id):
                    row.data[name] = adapter.encrypt(adapter.decrypt(row.data[name]))
            except Unreadable:
                unreadable.append(row.user_id)
                continue
            row.save(update_fields=["data"])
            done += 1
    return done, unreadable


def _app_code_use(row: Authenticator, code: str, now: datetime) -> bool:
    counter = app_code_counter(HouseAdapter().decrypt(row.data["secret"]), code, now)
    if counter is None or counter <= row.data.get(LAST_COUNTER, -1):
        return False
    row.data[LAST_COUNTER] = counter
    row.save(update_fields=["data"])
    return True


def _spare_use(row: Authenticator, code: str) -> bool:
    return bool(RecoveryCodes(row).validate_code(code))


def _qr(text: str) -> tuple[str, int]:
    """The path of an SVG whose unit is one square of the code, and how many squares a side has."""
    code = qrcode.QRCode(border=2)
    code.add_data(text)
    code.make()
    squares = code.get_matrix()
    path = "".join(
        f"M{x} {y}h1v1h-1z" for y, row in enumerate(squares) for x, dark in enumerate(row) if dark
    )
    return path, len(squares)


# ── passkeys ────────────────────────────────────────────────────────────────
# allauth's module for them loads fido2 and its list of domains, so it is imported where it is used.


def passkey_offer(request: HttpRequest, user: User) -> dict[str, Any]:
    """What a browser needs to make a passkey; the session remembers what was asked."""
    from allauth.mfa.webauthn.internal import auth

    with request_context(request):
        return auth.begin_registration(user, passwordless=False)


def passkey_add(
    request: HttpRequest, user: User, *, name: str, credential: Any
) -> Authenticator | None:
    """Keep the passkey that a browser made for the last offer; None where it does not fit it."""
    from allauth.mfa.webauthn.internal import auth

    with request_context(request):
        try:
            auth.parse_registration_response(credential)
            auth.complete_registration(credential)
        except (ValidationError, ValueError, TypeError, KeyError, AttributeError):
            return None
        return auth.WebAuthn.add(user, name, credential).instance


def passkey_challenge(request: HttpRequest, user: User) -> dict[str, Any]:
    """What a browser must sign with a passkey of this user; the session remembers what."""
    from allauth.mfa.webauthn.internal import auth

    with request_context(request):
        return auth.begin_authentication(user)


def passkey_use(request: HttpRequest, user: User, credential: Any, now: datetime) -> bool:
    """Whether this is an answer to the last challenge by a passkey of `user`; it works once."""
    from allauth.mfa.webauthn.internal import auth

    with request_context(request):
        try:
            auth.parse_authentication_response(credential)
            row = auth.complete_authentication(user, credential)
        except (ValidationError, ValueError, TypeError, KeyError, AttributeError):
            return False
        finally:
            auth.clear_state()
    Authenticator.objects.filter(pk=row.pk).update(last_used_at=now)
    return True
