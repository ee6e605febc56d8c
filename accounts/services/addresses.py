"""Showing that an e-mail address is one's own, by a link that was sent there."""

from datetime import datetime

from django.conf import settings
from django.db import transaction

from accounts.links import address_link_fits
from accounts.models import User
from accounts.services.audit import audit_record
from accounts.services.letters import VERIFY, letter_tell, mail_on
from speedtrade.lib.errors import Conflict, InvalidInput
from speedtrade.lib.ratelimit import RateLimited, rate_clear, rate_take

_ENOUGH = "No link was sent: so many went out today that no more do until tomorrow."
_SENT = "A link is on its way already. Look for it among unwanted mail too, or wait a minute."
_OLD = "This link is too old or not for this account. Ask for a new one in the settings."


def address_ask(*, user: User, now: datetime) -> None:
    """Send a link to the user's address, in the running transaction or in one of its own.

    Raises Conflict where there is nothing to ask, RateLimited where one was sent there a moment
    ago, or too many today: a form that was sent twice is one letter, and nobody's mailbox is filled
    from here. An address that was changed begins anew, for the letter to the last one is no link
    to this one.
    """
    if not mail_on():
        raise Conflict("This house sends no mail.")
    if user.email_verified_at:
        raise Conflict("Your address is verified already.")
    who = f"user:{user.pk}"
    there, rate = f"{who}:{user.email_round}", settings.RATE_VERIFY_PER_ADDRESS
    rate_take(name="verify", who=there, rate=rate, detail=_SENT)
    try:
        rate_take(name="verify_all", who=who, rate=settings.RATE_VERIFY_PER_USER, detail=_ENOUGH)
    except RateLimited:
        rate_clear(name="verify", who=there, rate=rate)  # or the next answer says that one went
        raise
    letter_tell(user=user, kind=VERIFY, to=user.email, now=now)


def address_confirm(*, user: User, token: str, now: datetime) -> User:
    """The address is the user's own, who is logged in and has its link. Again changes nothing.

    Raises InvalidInput for a link that is forged, old, another user's, or of a former address.
    """
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if not address_link_fits(user, token):
            raise InvalidInput(_OLD)
        if user.email_verified_at is None:
            user.email_verified_at, user.email_former = now, ""
            user.save(update_fields=["email_verified_at", "email_former"])
            target = f"user:{user.pk}"
            audit_record(actor=user, action="user.email_verify", target=target, now=now)
    return user
