"""A forgotten password: a link to the user's own address, and the new password that it sets."""

from datetime import datetime

from django.conf import settings
from django.db import transaction

from accounts.links import reset_link, reset_user
from accounts.models import User
from accounts.selectors import user_by_login
from accounts.services.accounts import reason_required
from accounts.services.audit import audit_record
from accounts.services.letters import RESET, letter_tell
from accounts.services.users import password_put
from speedtrade.lib.errors import Conflict, InvalidInput
from speedtrade.lib.later import later
from speedtrade.lib.ratelimit import RateLimited, rate_take

_OLD = "This link is too old, or it was used. Ask for a new one."


def reset_ask(*, name: str, now: datetime) -> None:
    """Send a link to whoever has this name or address, if anybody has and may have one.

    Nothing is looked up before the answer: neither its words nor its time say who exists.
    """
    later(_link_send, name, now)


def _link_send(name: str, now: datetime) -> None:
    user = user_by_login(name)
    # An address that nobody showed to be theirs opens nothing, nor does one of who has no password.
    if user is None or not (user.email_verified_at and user.is_active):
        return
    if not user.has_usable_password():
        return
    try:
        rate_take(name="reset", who=f"user:{user.pk}", rate=settings.RATE_RESET_PER_USER)
    except RateLimited:
        return
    letter_tell(user=user, kind=RESET, to=user.email, now=now)


@transaction.atomic
def reset_link_by_house(*, user: User, reason: str, now: datetime) -> str:
    """The path of such a link, for whoever runs this house to give to its user.

    Raises InvalidInput without a reason, Conflict where the user is closed.
    """
    reason = reason_required(reason)
    if not user.is_active:
        raise Conflict(f"{user.username} is closed.")
    target = f"user:{user.pk}"
    audit_record(actor=None, action="user.password_link", target=target, reason=reason, now=now)
    return reset_link(user)


def password_reset(*, token: str, password: str, now: datetime) -> User:
    """Set the password of whom the link is for. Nobody is logged in by it, and a factor stays.

    Raises InvalidInput for a link that does not hold, and for a weak password.
    """
    with transaction.atomic():
        user = reset_user(token, lock=True)
        if user is None:
            raise InvalidInput(_OLD)
        password_put(user=user, password=password, action="user.password_reset", now=now)
    return user
