"""The kill switch. A row of the database, so it works with Redis and every broker away."""

from collections.abc import Mapping
from datetime import datetime

from django.db import connection, transaction

from accounts.models import User
from accounts.services.accounts import reason_required
from accounts.services.audit import audit_record
from speedtrade.lib.live import live_publish_all
from trading.models import SendTally, TradingHalt
from trading.selectors.facts import halt_open

PAGES_TOLD_WITHIN = 2.0  # seconds that a command waits for open pages to hear of it
ALL_TRADING = 0  # a halt event's id where it is not of one instrument
_SWITCH = 7_316_001  # the advisory lock that two hands on the switch wait for


@transaction.atomic
def trading_halt(
    *,
    actor: User | None,
    reason: str,
    now: datetime,
    data: Mapping[str, object] | None = None,
) -> tuple[TradingHalt, bool]:
    """Stop new orders of everybody; (the halt, whether this call made it). Cancels still pass.

    Placing is refused with `trading_halted` from the commit on, and what waits in the outbox is
    not sent. Orders that rest at a broker stay there. `actor` None is the command line, or the
    guard, which adds `data` for the audit. Raises InvalidInput without a reason.
    """
    reason = reason_required(reason)
    _grip()
    known = halt_open()
    if known is not None:
        return known, False
    halt = TradingHalt.objects.create(reason=reason, set_by=actor, set_at=now)
    audit_record(
        actor=actor,
        action="trading.halt",
        target=f"halt:{halt.pk}",
        reason=reason,
        data=data,
        now=now,
    )
    live_publish_all(kind="halt", thing_id=ALL_TRADING)
    return halt, True


@transaction.atomic
def trading_resume(*, actor: User | None, reason: str, now: datetime) -> bool:
    """Let orders in again; False where trading was not halted. Raises as `trading_halt`.

    The guard counts from zero then: a person has looked at what it saw.
    """
    reason = reason_required(reason)
    _grip()
    open_ids = list(TradingHalt.objects.filter(lifted_at__isnull=True).values_list("pk", flat=True))
    TradingHalt.objects.filter(pk__in=open_ids).update(lifted_at=now)
    SendTally.objects.update(in_second=0, in_day=0)
    for pk in open_ids:
        audit_record(
            actor=actor, action="trading.resume", target=f"halt:{pk}", reason=reason, now=now
        )
    if open_ids:
        live_publish_all(kind="halt", thing_id=ALL_TRADING)
    return bool(open_ids)


def _grip() -> None:
    """One hand at a time, until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_SWITCH])
