"""What a key may do: asked by its owner on a page, answered by a worker.

The web process loads no vendor's library, so the question is a row, a message and a short wait.
"""

import time
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.utils import timezone

from accounts.models import BrokerageAccount
from speedtrade.lib.errors import Unavailable
from speedtrade.lib.later import later
from trading.brokers.base import AuthFailed, Broker, BrokerError, KeyFacts, KeyUnreadable
from trading.brokers.registry import broker_for
from trading.models import BrokerLink

LOOK_EVERY = 0.1  # seconds
CLOCK_OFF: Final = (
    "The broker's clock is {span} {side} ours. Set the clock of this machine by NTP; where that is"
    " right already, tell the broker. We go on trying."
)
PERMITTED, REFUSED = "The key works. ", "The key does not work. "


def key_check_ask(account: BrokerageAccount) -> str:
    """A sentence about the key; raises Unavailable where no worker answers in time."""
    from trading.tasks import key_check

    asked = timezone.now()
    link, _ = BrokerLink.objects.get_or_create(
        brokerage_account=account, defaults={"created_at": asked}
    )
    later(key_check.delay, account.pk)
    until = time.monotonic() + settings.KEY_CHECK_WAIT.total_seconds()
    while time.monotonic() < until:
        link.refresh_from_db(fields=["checked_at", "check_words"])
        if link.checked_at is not None and link.checked_at >= asked:
            return link.check_words
        time.sleep(LOOK_EVERY)
    raise Unavailable("The broker did not answer in time. Try again in a moment.")


def key_check_run(*, account_id: int, now: datetime) -> None:
    """Ask the broker, and write down what it says; for a worker."""
    account = BrokerageAccount.objects.select_related("credential").get(pk=account_id)
    try:
        facts = facts_read(account_id=account_id, broker=broker_for(account))
        words = clock_words(facts) or (PERMITTED if facts.may_trade else "") + facts.words
    except KeyUnreadable as error:
        words = str(error)
    except AuthFailed as error:
        words = REFUSED + str(error)
    except BrokerError as error:
        words = f"The broker could not be asked: {error}"
    BrokerLink.objects.filter(brokerage_account=account).update(
        checked_at=timezone.now(), check_words=words[:300]
    )


def facts_read(*, account_id: int, broker: Broker) -> KeyFacts:
    """What the broker says of the key; how far its clock is off is written down for the desk."""
    facts = broker.check()
    off = None if facts.clock_doubt is None else clock_off(facts)
    BrokerLink.objects.filter(brokerage_account_id=account_id).update(
        clock_offset=off, clock_at=timezone.now()
    )
    return facts


def clock_due(link: BrokerLink, now: datetime) -> bool:
    """Whether the broker's clock was last looked at long ago."""
    return link.clock_at is None or now - link.clock_at >= settings.BROKER_CLOCK_PERIOD


def key_use(*, account_id: int, broker: Broker) -> KeyFacts:
    """The facts of a key that may trade; raises AuthFailed with words for its owner."""
    facts = facts_read(account_id=account_id, broker=broker)
    if not facts.may_trade:
        raise AuthFailed(facts.words)
    return facts


def clock_off(facts: KeyFacts) -> timedelta:
    """How far the broker's clock is from ours, at the least: nothing where it may well be right."""
    least, none = facts.clock_offset, timedelta(0)
    return max(least, min(least + (facts.clock_doubt or none), none))


def clock_words(facts: KeyFacts) -> str:
    """What is wrong with the broker's clock where it is too far off, or nothing."""
    off = clock_off(facts)
    if abs(off) <= settings.BROKER_CLOCK_MOST:
        return ""
    side = "behind" if off < timedelta(0) else "ahead of"
    return CLOCK_OFF.format(span=_span(abs(off)), side=side)


def _span(time: timedelta) -> str:
    for unit, name in ((timedelta(days=1), "days"), (timedelta(hours=1), "hours")):
        if time >= 2 * unit:
            return f"{time // unit} {name}"
    return f"{time.total_seconds():.0f} seconds"
