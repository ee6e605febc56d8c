"""Registering, changing and closing a user."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import F, Value
from django.db.models.functions import Lower

from accounts.models import User
from accounts.models.users import EMAIL_TAKEN, NAME_TAKEN, USERNAME_MIN
from accounts.services.accounts import paper_account_open, reason_required
from accounts.services.addresses import address_ask
from accounts.services.api_keys import keys_revoke_all
from accounts.services.audit import audit_record
from accounts.services.devices import trust_end
from accounts.services.letters import RESET, letters_withdraw, mail_on
from accounts.services.logins import password_demand
from accounts.tokens import tokens_revoke_all
from speedtrade.lib.errors import Conflict, FieldError, InvalidInput
from speedtrade.lib.live import live_publish
from speedtrade.lib.ratelimit import RateLimited, rate_take

_UNIQUE = {
    "user_name_unique": ("username", NAME_TAKEN),
    "user_email_unique": ("email", EMAIL_TAKEN),
}
_UNIQUE["accounts_user_username_key"] = _UNIQUE["user_name_unique"]

_MANY_ADDRESSES = "You tried many addresses. Try again later."
_EMAIL_FIELDS = ["email", "email_former", "email_verified_at", "email_round"]


def user_register(*, username: str, email: str, password: str, now: datetime) -> User:
    """A new user with a funded paper account, all or nothing.

    Raises InvalidInput with every wrong field at once: the name (3-30 letters, digits and
    . + - _, not taken), the e-mail (valid, not taken), the password (the validators of the
    settings). Upper and lower case are the same when it comes to what is taken.
    """
    user = User(
        username=User.normalize_username(username.strip()), email=_email(email), date_joined=now
    )
    errors = [
        *_problems("username", lambda: _name_valid(user.username)),
        *_problems("email", lambda: _email_valid(user.email)),
        *_problems("password", lambda: _password_valid(password, user)),
    ]
    errors += _taken(user, {"username", "email"} - {error.field for error in errors})
    if errors:
        raise _invalid(errors)
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            paper_account_open(user=user, now=now)
            _audit(user, user, "user.register", now=now)
            if mail_on():
                address_ask(user=user, now=now)
    except IntegrityError as error:
        raise _twin(error) from error
    return user


def name_problem(*, username: str) -> str:
    """Why nobody can register under this name, in words, or "". Says nothing about addresses."""
    user = User(username=User.normalize_username(username.strip()))
    errors = _problems("username", lambda: _name_valid(user.username)) or _taken(user, {"username"})
    return errors[0].detail if errors else ""


def user_profile_change(*, user: User, email: str, now: datetime) -> User:
    """A new e-mail address, which is verified anew; raises InvalidInput where wrong or taken.

    Each says whether somebody has it, so who tries many is told RateLimited.
    """
    email, old = _email(email), user.email
    errors = _problems("email", lambda: _email_valid(email))
    if not errors and email.lower() != old.lower():
        who, rate = f"user:{user.pk}", settings.RATE_EMAIL_PER_USER
        rate_take(name="email_new", who=who, rate=rate, detail=_MANY_ADDRESSES)
        errors = _taken(User(email=email), {"email"})
    if errors:
        raise _invalid(errors)
    try:
        with transaction.atomic():
            # Of two changes at once each must begin where the other ended, or both give the same
            # round, and the link that one address was sent verifies the other.
            user.refresh_from_db(
                fields=_EMAIL_FIELDS, from_queryset=User.objects.select_for_update(no_key=True)
            )
            if email != user.email:
                _email_put(user, email, now)
    except IntegrityError as error:
        user.refresh_from_db(fields=_EMAIL_FIELDS)
        raise _twin(error) from error
    return user


def _email_put(user: User, email: str, now: datetime) -> None:
    """The new address is not verified, and links to the old one are void; the old one is told."""
    if user.email_verified_at:
        user.email_former = user.email
    user.email, user.email_verified_at, user.email_round = email, None, user.email_round + 1
    user.save(update_fields=_EMAIL_FIELDS)
    _audit(user, user, "user.email_change", now=now)  # which tells the former one
    if mail_on():
        with suppress(RateLimited):  # who asks on the page is told so
            address_ask(user=user, now=now)


def user_password_change(
    *, user: User, current_password: str, new_password: str, now: datetime
) -> User:
    """A new password; every token and every other session of the user is dead when this returns.

    Raises InvalidInput for a wrong current or a weak new password, RateLimited after too many
    wrong ones: a stolen session is no place to guess the password.
    """
    password_demand(user=user, password=current_password, field="current_password", now=now)
    password_put(
        user=user,
        password=new_password,
        field="new_password",
        action="user.password_change",
        now=now,
    )
    return user


def password_put(
    *, user: User, password: str, field: str = "password", action: str, now: datetime
) -> None:
    """Set a password and end all that the one before opened, for who may; `action` is the audit's.

    Raises InvalidInput at `field` for a weak one.
    """
    if errors := _problems(field, lambda: _password_valid(password, user)):
        raise _invalid(errors)
    with transaction.atomic():
        user.set_password(password)
        user.save(update_fields=["password"])
        tokens_revoke_all(user=user, now=now, reason="password")
        letters_withdraw(user=user, kind=RESET)  # its link would be made for the new one
        _audit(user, user, action, now=now)
        live_publish(user_id=user.pk, kind="logout", thing_id=user.pk)


@transaction.atomic
def user_sessions_end(*, user: User, actor: User | None = None, now: datetime) -> User:
    """End every session, token and socket of a user; the caller may keep its own session alive.

    `actor` is who does it where it is not the user.
    """
    User.objects.filter(pk=user.pk).update(session_round=F("session_round") + 1)
    user.refresh_from_db(fields=["session_round"])
    tokens_revoke_all(user=user, now=now, reason="sessions")
    _audit(actor or user, user, "user.sessions_end", now=now)
    live_publish(user_id=user.pk, kind="logout", thing_id=user.pk)
    return user


@transaction.atomic
def user_deactivate(*, user: User, actor: User, reason: str, now: datetime) -> User:
    """Close the doors to a user: no log-in, and sessions, tokens, API keys and trust end for good.

    Raises InvalidInput without a reason, Conflict where the user is closed already.
    """
    return _turn(user, False, actor, reason, now)


@transaction.atomic
def user_reactivate(*, user: User, actor: User, reason: str, now: datetime) -> User:
    """Let a user log in again; what ended stays dead. Raises as `user_deactivate`."""
    return _turn(user, True, actor, reason, now)


def _turn(user: User, active: bool, actor: User, reason: str, now: datetime) -> User:
    reason = reason_required(reason)
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if user.is_active is active:
        raise Conflict("The user is open already." if active else "The user is closed already.")
    user.is_active = active
    if not active:
        user.session_round += 1  # or an old session would be alive again with its user
    user.save(update_fields=["is_active", "session_round"])
    if not active:
        tokens_revoke_all(user=user, now=now, reason="deactivated")
        keys_revoke_all(user=user, actor=actor, reason=reason, now=now)
        trust_end(user=user, actor=actor, now=now)
        live_publish(user_id=user.pk, kind="logout", thing_id=user.pk)
    _audit(actor, user, "user.reactivate" if active else "user.deactivate", reason=reason, now=now)
    return user


def _audit(actor: User, user: User, action: str, *, reason: str = "", now: datetime) -> None:
    audit_record(actor=actor, action=action, target=f"user:{user.pk}", reason=reason, now=now)


def _email(email: str) -> str:
    return str(User.objects.normalize_email(email.strip()))


def _name_valid(username: str) -> None:
    if "@" in username:  # or a name could be somebody else's e-mail address, and log-in takes both
        raise ValidationError("A name has letters, digits and . + - _ only.", code="invalid")
    if len(username) < USERNAME_MIN:
        raise ValidationError(f"A name has at least {USERNAME_MIN} characters.", code="min_length")
    User._meta.get_field("username").run_validators(username)


def _email_valid(email: str) -> None:
    if not email:
        raise ValidationError("Enter an e-mail address.", code="required")
    validate_email(email)
    User._meta.get_field("email").run_validators(email)


def _password_valid(password: str, user: User) -> None:
    if len(password) > settings.PASSWORD_MAX_LENGTH:
        raise ValidationError(
            f"A password has at most {settings.PASSWORD_MAX_LENGTH} characters.", code="max_length"
        )
    validate_password(password, user)


def _problems(field: str, check: Callable[[], None]) -> list[FieldError]:
    """What a validator has to say, at most once per text, as errors of `field`."""
    try:
        check()
    except ValidationError as error:
        return [
            FieldError(field, one.code or "invalid", " ".join(one.messages))
            for one in error.error_list
        ]
    return []


def _taken(user: User, fields: set[str]) -> list[FieldError]:
    """The unique fields that somebody has; a message for people, the constraint is the guard."""
    errors = []
    for name, text in sorted(_UNIQUE.values()):
        if name in fields:
            same = User.objects.alias(lowered=Lower(name))
            if same.filter(lowered=Lower(Value(getattr(user, name)))).exists():
                errors.append(FieldError(name, "unique", text))
                fields = fields - {name}
    return errors


def _twin(error: IntegrityError) -> Exception:
    """The refusal for somebody who was a moment too late; other errors stay what they are."""
    diagnosis = getattr(error.__cause__, "diag", None)
    known = _UNIQUE.get(getattr(diagnosis, "constraint_name", None) or "")
    return _invalid([FieldError(known[0], "unique", known[1])]) if known else error


def _invalid(errors: list[FieldError]) -> InvalidInput:
    return InvalidInput(" ".join(f"{e.field}: {e.detail}" for e in errors), errors=errors)
