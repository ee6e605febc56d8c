"""Mail to users: what is told of whom, and sending it; a house without a mail server has none.

One table says which acts are told. A letter is a row in the transaction of its act, and a worker
sends it afterwards: a mail server that is slow or away keeps nobody waiting and loses nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from smtplib import SMTPException, SMTPRecipientsRefused
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import F
from django.urls import reverse

from accounts.links import address_link, reset_link
from accounts.models import Letter, User
from speedtrade.lib.later import later
from speedtrade.lib.lease import Lease

logger = structlog.get_logger(__name__)
VERIFY, RESET, BROWSER_NEW, PROGRAM = "verify", "reset", "browser.new", "program.login"
PLACES = ("security", "developers", "brokers")  # pages that a letter names


@dataclass(frozen=True, slots=True)
class Kind:
    """A subject, what happened in a sentence, and what to do where it was somebody else."""

    subject: str
    what: str
    remedy: str


_PASSWORD = "change your password at {security}, which logs out every other browser."  # noqa: S105 - words
_ASK = "ask whoever runs this house to close your account at once: you may be locked out."
_KEY = "revoke it at {developers}, then change your password at {security}."
_BROKER = "delete the key at the broker, disconnect it at {brokers}, then change your password."

#: What is told, by the name that the act has in the audit; the first four have none there.
KINDS = {
    VERIFY: Kind(
        "Is this your address?",
        "Somebody, we hope you, gave this address for an account. To say that it is yours, open\n"
        "\n{link}\n\nand log in. The link works for {hours} hours.",
        "do nothing: without the link this address gets no more mail from us.",
    ),
    RESET: Kind(
        "A new password",
        "Somebody, we hope you, forgot the password of your account. To set a new one, open\n"
        "\n{link}\n\nThe link works once, within {minutes} minutes of this mail.",
        "do nothing: without the link your password stays as it is. It opens your account to\n"
        "whoever has it, so show it to nobody.",
    ),
    BROWSER_NEW: Kind("A new browser", "A new browser logged in: {about}.", _PASSWORD),
    PROGRAM: Kind("A program logged in", "A program logged in with your password.", _PASSWORD),
    "user.email_change": Kind(
        "A new e-mail address",
        "Your account has a new e-mail address. Until that is verified you are told here, then\n"
        "no longer.",
        _ASK,
    ),
    "user.password_change": Kind("Your password was changed", "Your password was changed.", _ASK),
    "user.password_link": Kind(
        "A link for a new password",
        "Whoever runs this house made a link that sets a new password, to give it to you.",
        "tell them at once: somebody says to be you.",
    ),
    "user.password_reset": Kind(
        "Your password was set anew",
        "A link that was made for you set a new password. Everything was logged out.",
        _ASK,
    ),
    "user.factor_add": Kind("A new second factor", "A second factor was set up.", _ASK),
    "user.factor_remove": Kind("One factor less", "A second factor was removed.", _PASSWORD),
    "user.factor_reset_ask": Kind(
        "A reset of your second factor",
        "Support was asked to take away your second factor, and has not done it yet.",
        "tell support at once: somebody says to be you.",
    ),
    "user.factor_reset": Kind(
        "Your second factor was reset",
        "Your second factor was taken away, and every session and API key has ended.",
        _PASSWORD,
    ),
    "user.recovery_renew": Kind("New recovery codes", "New recovery codes were made.", _PASSWORD),
    "key.create": Kind("A new API key", "An API key was made.", _KEY),
    "account.connect": Kind("An account was connected", "A broker account was connected.", _BROKER),
    "account.rekey": Kind("A new key of a broker", "A broker account has a new key.", _BROKER),
}
#: Made as the letter is sent, so that none of them rests anywhere.
_LINKS = {VERIFY: address_link, RESET: reset_link}


def mail_on() -> bool:
    """Whether this house has a mail server."""
    return bool(settings.EMAIL_HOST)


def letter_tell(
    *, user: User, kind: str, about: str = "", to: str = "", now: datetime
) -> Letter | None:
    """Tell a user by mail, after the commit of the running transaction; None where nobody is told.

    Only an address that is verified is told. While a new one is not, the one before it is, or who
    changes it by a stolen session would have silence for all else. `to` names another one.
    """
    to = to or (user.email if user.email_verified_at else user.email_former)
    if not mail_on() or not to:
        return None
    letter = Letter.objects.create(
        user=user, kind=kind, to=to, about=about, created_at=now, due_at=now
    )
    transaction.on_commit(lambda: later(_wake), robust=True)
    return letter


def _wake() -> None:
    from accounts.tasks import letters_sweep

    letters_sweep.delay()


def letters_send(*, now: Callable[[], datetime]) -> int:
    """Send what is due, one after the other; returns how many went.

    One sweep at a time in the whole house: mail shares its workers with orders, and a mail server
    that does not answer must not keep more than one of their threads. It stops at the first letter
    that the server could not take, for the next would wait as long.
    """
    sent = 0
    with Lease("letters") as lease:
        if not lease.take():
            return sent
        for letter_id in letters_due(now=now()):
            if not letter_process(letter_id=letter_id, now=now()):
                break
            sent += 1
    return sent


def letters_due(*, now: datetime) -> list[int]:
    """The letters that a sweep tries now, the oldest first; so many at most."""
    due = Letter.objects.filter(due_at__lte=now).order_by("due_at")
    return list(due.values_list("pk", flat=True)[: settings.LETTERS_BATCH])


def letter_process(*, letter_id: int, now: datetime) -> bool:
    """Send one letter that is due; whether the mail server took it, or there was nothing to send.

    Of twins one sends: whoever comes second finds it due later. Where the server's answer is lost
    the letter goes twice, with one Message-ID, rather than never.
    """
    letter = Letter.objects.select_related("user").filter(pk=letter_id, due_at__lte=now).first()
    if letter is None:
        return True
    again = now + settings.LETTER_RETRY * 2**letter.tries
    taken = Letter.objects.filter(pk=letter_id, due_at__lte=now, tries=letter.tries)
    if not taken.update(due_at=again, tries=F("tries") + 1):
        return True
    if not _wanted(letter, now):
        Letter.objects.filter(pk=letter_id).update(due_at=None)
        return True
    try:
        _message(letter).send()
    except (OSError, SMTPException, ValueError) as error:  # its words may name the address
        nobody = _nobody_there(error)
        over = nobody or letter.tries + 1 >= settings.LETTER_TRIES
        logger.warning("letter_failed", letter=letter_id, error=type(error).__name__, over=over)
        if over:
            Letter.objects.filter(pk=letter_id).update(due_at=None)
        return nobody  # the server is well: others go
    Letter.objects.filter(pk=letter_id).update(due_at=None, sent_at=now)
    return True


def _nobody_there(error: Exception) -> bool:
    """Whether the server refused the address for good (RFC 5321, 4.2.1: codes from 500 on)."""
    refused = error.recipients.values() if isinstance(error, SMTPRecipientsRefused) else ()
    return bool(refused) and all(code >= 500 for code, _ in refused)


def letters_expire(*, now: datetime) -> int:
    """Delete letters that are long over; returns how many."""
    over = Letter.objects.filter(due_at=None, created_at__lt=now - settings.LETTERS_KEPT)
    return over.delete()[0]


def letters_withdraw(*, user: User, kind: str) -> None:
    """Send none of this kind that waits: what it is about is over."""
    Letter.objects.filter(user=user, kind=kind).exclude(due_at=None).update(due_at=None)


def _wanted(letter: Letter, now: datetime) -> bool:
    """Whether it is still true: who was closed is told, but no link of theirs is sent any more."""
    user, kind = letter.user, letter.kind
    if kind not in (VERIFY, RESET):
        return kind in KINDS
    if not user.is_active or user.email != letter.to:
        return False
    if kind == VERIFY:
        return user.email_verified_at is None
    in_time = letter.created_at > now - settings.RESET_LINK_AGE
    return user.email_verified_at is not None and in_time


def _message(letter: Letter) -> EmailMessage:
    kind, user = KINDS[letter.kind], letter.user
    words: dict[str, object] = {
        "about": letter.about,
        "hours": settings.VERIFY_LINK_AGE // timedelta(hours=1),
        "minutes": settings.RESET_LINK_AGE // timedelta(minutes=1),
        **{name: settings.SITE_URL + reverse(f"accounts:{name}") for name in PLACES},
    }
    if letter.kind in _LINKS:
        words["link"] = settings.SITE_URL + _LINKS[letter.kind](user)
    moment = letter.created_at.strftime("%d %B %Y at %H:%M UTC")
    # Anybody may enter any address beside any name, and some mail programs make links of words.
    hello = "Hello" if letter.kind == VERIFY else f"Hello {user.username}"
    text = (
        f"{hello},\n\n{kind.what.format(**words)}\n\nThis was on {moment}. "
        f"If it was not you: {kind.remedy.format(**words)}\n\n"
        f"SpeedTrade, {settings.SITE_URL}\nNobody reads answers to this mail.\n"
    )
    host = urlsplit(settings.SITE_URL).hostname  # RFC 5322, 3.6.4: a port has no place in an id
    headers = {"Message-ID": f"<letter-{letter.pk}@{host}>", "Auto-Submitted": "auto-generated"}
    return EmailMessage(f"SpeedTrade: {kind.subject}", text, to=[letter.to], headers=headers)
