"""The last look before an order leaves: more than was placed halts trading by itself.

In 2012 a router of Knight Capital's sent four million orders for 212 that customers had placed, in
45 minutes (SEC release 34-70694). Everything here asks what leaves against what was placed, in the
database alone, in a transaction of its own right before the call: a fault in how submissions are
claimed, woken or repeated cannot pass it. Cancels and look-ups do not come here.
"""

import logging
from datetime import datetime, timedelta
from enum import StrEnum

from django.conf import settings
from django.db import transaction
from django.db.models import BigIntegerField, F

from speedtrade.lib.compiled import Compiled, Given
from speedtrade.lib.prepared import prepared_cursor
from speedtrade.lib.ratelimit import rate_burst, rate_per_day
from speedtrade.lib.rows import rows_update
from trading.brokers.base import BrokerRequest
from trading.models import Order, SendTally, Submission, SubmissionAction
from trading.selectors.facts import halt_open
from trading.services.halts import trading_halt

logger = logging.getLogger(__name__)
SECOND = timedelta(seconds=1)
HALTED = "The guard stepped in: {words} A person looks into it; cancels work."


_SUBMISSION = Compiled(
    lambda: (
        Submission.objects.select_for_update(of=("self",))
        .select_related("order")
        .filter(order=Given("order_id", BigIntegerField()), action=SubmissionAction.SUBMIT)
        .order_by("pk")[:1]
    )
)


class Leave(StrEnum):
    """Whether an order may leave."""

    GO = "go"
    HELD = "held"  # trading is halted, and the broker has never been told of it
    TOLD = "told"  # the broker may know it already: it must not be told again
    TAKEN = "taken"  # this claim is over: by now the order is in another's hands


def send_admit(*, order: Order, request: BrokerRequest, claim: int, now: datetime) -> Leave:
    """Count a send that is about to happen, or refuse it; a wrong one halts trading for everybody.

    Of the same order one send passes, until `send_proved_absent` says that it never arrived.
    `claim` is the number of the claim that it is sent under (`Submission.attempts`): a worker that
    was so slow that its claim ran out does nothing wrong and sends nothing.
    """
    with transaction.atomic(durable=True):
        row = _SUBMISSION.first(order_id=order.pk)
        untold = row is not None and row.sends == 0
        over = row is not None and untold and row.done_at is not None  # canceled, or given up
        if row is not None and (over or row.claimed_at is None or row.attempts != claim):
            return Leave.TAKEN
        wrong = _wrong(row, request, now)
        if wrong:
            _halt(order, wrong, now)
        if row is None or wrong or halt_open() is not None:
            return Leave.HELD if untold else Leave.TOLD
        row.sends, row.sent_at = row.sends + 1, now
        rows_update([row], ("sends", "sent_at"))
    return Leave.GO


def send_proved_absent(*, submission: Submission, claim_at: datetime | None = None) -> bool:
    """The broker does not have it, for certain: the order may be told once more.

    `submission` as it was when the broker was asked. False where somebody has taken or ended it
    since: what was proved then says nothing of what they do. With `claim_at` the caller takes it.
    """
    known = Submission.objects.filter(
        pk=submission.pk, attempts=submission.attempts, done_at__isnull=True
    )
    if claim_at is None:
        return bool(known.update(sends=0))
    if not known.update(sends=0, attempts=F("attempts") + 1, claimed_at=claim_at):
        return False
    submission.attempts += 1
    return True


def _wrong(row: Submission | None, request: BrokerRequest, now: datetime) -> str:
    """What is wrong with this send, in a sentence that everybody may read; nothing where it fits.

    Nothing of whose order it is: the audit and the log say that.
    """
    if row is None:
        return "an order that nobody placed was about to be sent."
    if row.sends:
        return "an order was about to be sent a second time."
    order = row.order
    placed = (order.brokerage_account_id, order.side, order.qty, order.notional)
    if (request.account_id, request.side, request.qty, request.notional) != placed:
        return "an order was about to be sent for something else than was placed."
    in_second, in_day, left = _tally(order, now)
    if left >= settings.GUARD_SENDS_ALL:
        return "too many orders left in one second."
    if in_second > account_sends_per_second():
        return "too many orders of one account left in one second."
    if in_day > account_sends_per_day():
        return "too many orders of one account left in one day."
    return ""


def account_sends_per_second() -> int:
    """Orders of one account that may leave within a second of being placed.

    Never less than the doors let in, or a busy user would halt everybody; those that waited longer
    (for a broker, a worker, the end of a halt) are a backlog and may leave at any pace.
    """
    return settings.GUARD_SENDS_PER_SECOND or 2 * rate_burst(settings.RATE_ORDERS_PER_USER)


def account_sends_per_day() -> int:
    """Orders of one account that may leave in a day (UTC): by default what the doors let in."""
    return settings.GUARD_SENDS_PER_DAY or rate_per_day(settings.RATE_ORDERS_PER_USER)


def _tally(order: Order, now: datetime) -> tuple[int, int, int]:
    """(fresh orders of its account in this second, all of them on this day), with this one.

    And how many orders of all accounts left within a second before it. One row per account and one
    statement, so that it costs the same however many there were.
    """
    fresh = int(now - order.created_at <= SECOND)
    with prepared_cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO {SendTally._meta.db_table} AS old
                (brokerage_account_id, second, in_second, day, in_day)
            VALUES (%s, %s, %s, %s, 1)
            ON CONFLICT (brokerage_account_id) DO UPDATE SET
                in_second = EXCLUDED.in_second
                    + CASE WHEN old.second = EXCLUDED.second THEN old.in_second ELSE 0 END,
                in_day = 1 + CASE WHEN old.day = EXCLUDED.day THEN old.in_day ELSE 0 END,
                second = EXCLUDED.second,
                day = EXCLUDED.day
            RETURNING in_second, in_day,
                (SELECT count(*) FROM {Submission._meta.db_table} WHERE sent_at > %s)
            """,  # noqa: S608 # nosec B608 - names of our own tables
            [
                order.brokerage_account_id,
                now.replace(microsecond=0),
                fresh,
                now.date(),
                now - SECOND,
            ],
        )
        in_second, in_day, left = cursor.fetchone()
    return in_second, in_day, left


def _halt(order: Order, words: str, now: datetime) -> None:
    who = {"order": order.pk, "account": order.brokerage_account_id}
    _, made = trading_halt(actor=None, reason=HALTED.format(words=words), data=who, now=now)
    logger.error("runaway_halted", extra={**who, "why": words, "first": made})
