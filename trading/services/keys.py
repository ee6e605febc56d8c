"""What a key may do: asked by its owner on a page, answered by a worker.

The web process loads no vendor's library, so the question is a row, a message and a short wait.
"""

import time
from datetime import datetime

from django.conf import settings
from django.utils import timezone

from accounts.models import BrokerageAccount
from accounts.services.credentials import CredentialUnreadable
from speedtrade.lib.errors import Unavailable
from speedtrade.lib.later import later
from trading.brokers.base import AuthFailed, BrokerError
from trading.brokers.registry import broker_for
from trading.models import BrokerLink

LOOK_EVERY = 0.1  # seconds
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
        facts = broker_for(account).check()
        words = (PERMITTED if facts.may_trade else "") + facts.words
    except AuthFailed as error:
        words = REFUSED + str(error)
    except CredentialUnreadable:
        words = "The stored key cannot be read here. Enter the key again."
    except BrokerError as error:
        words = f"The broker could not be asked: {error}"
    BrokerLink.objects.filter(brokerage_account=account).update(
        checked_at=timezone.now(), check_words=words[:300]
    )
