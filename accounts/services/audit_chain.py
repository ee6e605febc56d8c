"""A chain of hashes over the audit, so that a row which somebody changed in secret is found.

The trigger of the table stops a slip of code; whoever may switch it off is found here. Rows are
sealed by a beat and not by the act that writes them: a chain in the act's transaction would make
all acts of the house wait for one another.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from accounts.models import AuditEvent, AuditSeal
from accounts.services.accounts import reason_required
from accounts.services.audit import audit_record

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Chain:
    """What a walk along the chain saw: links, the digest of the last, and a sentence a break."""

    links: int
    head: str
    breaks: tuple[str, ...]


def audit_seal() -> int:
    """Seal what was written since the last time, in the order of ids; returns how many rows.

    An id that commits late is sealed late: the order of the chain is its own.
    """
    last = AuditSeal.objects.order_by("-pk").first()
    batch = _waiting(last).values_list("pk", flat=True)[: settings.AUDIT_SEAL_BATCH]
    chosen = AuditEvent.objects.filter(pk__in=list(batch))
    seals = _links(chosen, last.digest if last else "")
    try:
        with transaction.atomic():
            AuditSeal.objects.bulk_create(seals)
    except IntegrityError:
        return 0  # another worker did it
    if seals:  # the log is elsewhere: an end of the chain that is cut off is missed there
        logger.info("audit_sealed", rows=len(seals), head=seals[-1].digest)
    return len(seals)


def audit_unsealed_since() -> datetime | None:
    """When the oldest row was written that waits for its seal; None where none does."""
    last = AuditSeal.objects.order_by("-pk").first()
    return _waiting(last).values_list("at", flat=True).first()


def _waiting(last: AuditSeal | None) -> QuerySet[AuditEvent]:
    """The rows without a seal that are still to get one, after the seal `last`; oldest first."""
    waiting = AuditEvent.objects.filter(seal=None).order_by("pk")
    if last is not None:  # what is older than this is found by `audit_verify` with all
        waiting = waiting.filter(pk__gt=last.event_id - settings.AUDIT_SEAL_LOOK_BACK)
    return waiting


@transaction.atomic
def audit_seal_late(*, reason: str, now: datetime) -> int:
    """Seal what the chain has passed by, and write down why; returns how many rows.

    Whoever calls it has looked at them: `audit_verify` names them until then. Raises InvalidInput
    without a reason.
    """
    last = AuditSeal.objects.order_by("-event_id").values_list("event_id", flat=True).first() or 0
    late = list(
        AuditEvent.objects.filter(seal=None, pk__lte=last - settings.AUDIT_SEAL_LOOK_BACK)
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    audit_record(
        actor=None,
        action="audit.seal_late",
        target="audit:late",
        reason=reason_required(reason),
        data={"events": late},
        now=now,
    )
    newest = AuditSeal.objects.order_by("-pk").values_list("digest", flat=True).first() or ""
    AuditSeal.objects.bulk_create(_links(AuditEvent.objects.filter(pk__in=late), newest))
    return len(late)


def _links(events: QuerySet[AuditEvent], previous: str) -> list[AuditSeal]:
    """The seals of these rows, in the order of their ids, after the link `previous`."""
    seals = []
    for event in events.order_by("pk"):
        digest = _digest(previous, event)
        seals.append(AuditSeal(event=event, previous=previous, digest=digest))
        previous = digest
    return seals


def audit_verify(*, last: int | None = None) -> Chain:
    """Walk along the chain, or along its `last` links, and say what does not fit.

    A break is a row that was changed, a link that was taken out or put in, or, with all, a row
    that nobody sealed. Reads as many rows as there are links.
    """
    links, previous, head, breaks = 0, "", "", []
    for links, seal in enumerate(_seals(last), 1):
        if links == 1 and last is not None:
            previous = seal.previous  # where a walk begins in the middle it believes the first
        if seal.previous != previous:
            breaks.append(f"A link is missing before seal {seal.pk}.")
        if _digest(seal.previous, seal.event) != seal.digest:
            event = seal.event
            breaks.append(f"Event {event.pk} ({event.action} {event.target}) was changed.")
        previous = head = seal.digest
    if last is None:
        breaks += _unsealed()
    return Chain(links, head, tuple(breaks[: settings.AUDIT_BREAKS_SHOWN]))


def _seals(last: int | None) -> Iterator[AuditSeal]:
    seals = AuditSeal.objects.select_related("event").order_by("pk")
    if last is not None:
        newest = AuditSeal.objects.order_by("-pk").values_list("pk", flat=True)[:last]
        first = min(newest, default=None)
        if first is None:
            return
        seals = seals.filter(pk__gte=first)
    yield from seals.iterator(chunk_size=1000)


def _unsealed() -> list[str]:
    """Rows that the chain has passed by: put in with a number of before, or its seal taken out."""
    last = AuditSeal.objects.order_by("-event_id").values_list("event_id", flat=True).first() or 0
    missed = AuditEvent.objects.filter(seal=None, pk__lte=last - settings.AUDIT_SEAL_LOOK_BACK)
    return [f"Event {pk} has no seal." for pk in missed.values_list("pk", flat=True)[:10]]


def _digest(previous: str, event: AuditEvent) -> str:
    told = [
        event.pk,
        event.at.astimezone(UTC).isoformat(),
        event.actor_id,
        event.action,
        event.target,
        event.reason,
        event.request_id,
        event.data,
    ]
    text = json.dumps([previous, told], sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
