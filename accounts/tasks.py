"""Periodic duties of this app."""

import structlog
from celery import shared_task
from django.utils import timezone

from accounts.services import audit_chain, letters
from accounts.services.api_keys import keys_expire
from accounts.services.devices import devices_expire
from accounts.tokens import families_expire

logger = structlog.get_logger(__name__)


@shared_task
def families_clean() -> int:
    """Delete token families, API keys, browsers, trust and letters long over; harmless twice."""
    now = timezone.now()
    over = (families_expire, keys_expire, devices_expire, letters.letters_expire)
    return sum(expire(now=now) for expire in over)


@shared_task
def letters_sweep() -> int:
    """Send the mail that is due; harmless twice, and twice at once."""
    return letters.letters_send(now=timezone.now)


@shared_task
def audit_seal() -> int:
    """Seal the audit's new rows; harmless twice, and twice at once."""
    return audit_chain.audit_seal()


@shared_task
def audit_walk() -> int:
    """Walk along the whole chain and log what does not fit; returns how many breaks."""
    chain = audit_chain.audit_verify()
    if chain.breaks:
        logger.error("audit_changed", breaks=chain.breaks, links=chain.links)
    return len(chain.breaks)
