"""Links that are sent by mail: signed, for a while, and good for one user and one address."""

from django.conf import settings
from django.core import signing
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts.models import User

_SALT, _RESET_SALT = "speedtrade.address", "speedtrade.password-reset"


def address_link(user: User) -> str:
    """The path that verifies the address which this user has now; a new address makes it void."""
    return reverse("accounts:address", args=[signing.dumps(_named(user), salt=_SALT)])


def address_link_fits(user: User, token: str) -> bool:
    """Whether this is what stood in the newest links to the user's address, and still holds."""
    try:
        given = signing.loads(token, salt=_SALT, max_age=settings.VERIFY_LINK_AGE)
    except signing.BadSignature:
        return False
    return bool(given == _named(user))


def reset_link(user: User) -> str:
    """The path that sets a new password without the old one.

    A new password, and so its own use, a new address or a log-out everywhere makes it void.
    """
    token = signing.dumps({"user": user.pk, "mark": _mark(user)}, salt=_RESET_SALT)
    return reverse("accounts:reset_link", args=[token])


def reset_user(token: str, *, lock: bool = False) -> User | None:
    """Whose password a link sets, or None where it does not hold.

    `lock` is for who sets it, in a transaction: of two that use a link at once one is too late.
    """
    try:
        given = signing.loads(token, salt=_RESET_SALT, max_age=settings.RESET_LINK_AGE)
    except signing.BadSignature:
        return None
    users = User.objects.select_for_update(no_key=True) if lock else User.objects
    user = users.filter(pk=given["user"], is_active=True).first()
    return user if user and constant_time_compare(given["mark"], _mark(user)) else None


def _named(user: User) -> dict[str, int]:
    return {"user": user.pk, "round": user.email_round}


def _mark(user: User) -> str:
    """A hash of the hash: the session's own one leaves the house in no link."""
    now = f"{user.get_session_auth_hash()}:{user.email_round}"
    return salted_hmac(_RESET_SALT, now, algorithm="sha256").hexdigest()
