"""Taking a second factor away for somebody who lost it: one of the staff asks, another approves."""

from datetime import datetime

from django.conf import settings
from django.db import transaction

from accounts.models import FactorReset, User
from accounts.second_factor import factors_forget, has_factor
from accounts.services.accounts import reason_required
from accounts.services.api_keys import keys_revoke_all
from accounts.services.audit import audit_record
from accounts.services.devices import trust_end
from accounts.services.users import user_sessions_end
from speedtrade.lib.errors import Conflict

ANOTHER = "Another one of the staff approves it, and not who asked."


@transaction.atomic
def factor_reset_ask(*, user: User, actor: User, reason: str, now: datetime) -> FactorReset:
    """Ask a colleague to take this user's second factor away; an older question is replaced.

    Raises InvalidInput without a reason, Conflict where there is no factor.
    """
    reason = reason_required(reason)
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if not has_factor(user):
        raise Conflict(f"{user.username} has no second factor.")
    FactorReset.objects.filter(user=user, done_at=None).delete()
    asked = FactorReset.objects.create(user=user, asked_by=actor, reason=reason, asked_at=now)
    _audit(actor, user, "user.factor_reset_ask", reason, now)
    return asked


@transaction.atomic
def factor_reset_approve(*, user: User, actor: User, reason: str, now: datetime) -> User:
    """Take it away, with recovery codes, trust, sessions, tokens and API keys.

    They log in by password, and that is no better than whoever called.

    Raises InvalidInput without a reason, Conflict where nobody asked lately, or `actor` did.
    """
    reason = reason_required(reason)
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    asked = FactorReset.objects.filter(user=user, done_at=None).first()
    if asked is None or asked.asked_at <= now - settings.FACTOR_RESET_WAIT:
        raise Conflict("Nobody has asked for it lately. Ask first, then another approves.")
    if asked.asked_by_id == actor.pk:
        raise Conflict(ANOTHER)
    asked.approved_by, asked.done_at = actor, now
    asked.save(update_fields=["approved_by", "done_at"])
    return _take_away(user, actor, reason, now)


@transaction.atomic
def factor_reset_by_house(*, user: User, reason: str, now: datetime) -> User:
    """The same by the command line, where nobody else of the staff is left to approve.

    Raises InvalidInput without a reason, Conflict where there is none.
    """
    reason = reason_required(reason)
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if not has_factor(user):
        raise Conflict(f"{user.username} has no second factor.")
    FactorReset.objects.filter(user=user, done_at=None).delete()  # it is answered
    return _take_away(user, None, reason, now)


def _take_away(user: User, actor: User | None, reason: str, now: datetime) -> User:
    factors_forget(user)
    trust_end(user=user, actor=actor, now=now)
    user_sessions_end(user=user, actor=actor, now=now)
    keys_revoke_all(user=user, actor=actor, reason=reason, now=now)
    _audit(actor, user, "user.factor_reset", reason, now)
    return user


def factor_reset_open(user: User) -> bool:
    """Whether somebody has asked and nobody approved."""
    return FactorReset.objects.filter(user=user, done_at=None).exists()


def _audit(actor: User | None, user: User, action: str, reason: str, now: datetime) -> None:
    audit_record(actor=actor, action=action, target=f"user:{user.pk}", reason=reason, now=now)
