"""Links that are sent by mail: signed, for a while, and good for one user and one address."""

from django.conf import settings
from django.core import signing
from django.urls import reverse

from accounts.models import User

_SALT = "speedtrade.address"


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


def _named(user: User) -> dict[str, int]:
    return {"user": user.pk, "round": user.email_round}
