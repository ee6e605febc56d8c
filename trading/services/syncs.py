"""Keep our books and a broker's the same: open an account, follow its orders, compare both.

One account at a time, under its lease; the broker is asked outside any transaction. What comes
back goes through `report_apply`, imports or a Difference: nothing is corrected in silence.
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

from django.conf import settings
from django.db import DataError, IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from accounts.models import AccountStatus, BrokerageAccount, BrokerKind, User
from accounts.services.accounts import reason_required
from accounts.services.audit import audit_record
from accounts.services.syncs import (
    account_activate,
    account_fail,
    account_keep_in,
    account_synced,
)
from portfolio.services.adjustments import cash_open
from portfolio.services.books import account_lock
from speedtrade.lib.errors import InvariantBroken
from speedtrade.lib.lease import Lease
from speedtrade.lib.live import live_publish
from trading.brokers.base import (
    AuthFailed,
    Booked,
    Broker,
    BrokerError,
    BrokerOrder,
    CashEvent,
    Holdings,
    KeyFacts,
    OutcomeUnknown,
)
from trading.brokers.registry import broker_for
from trading.domain.orders import FINAL_STATES, SENT_STATES
from trading.models import BrokerLink, Order
from trading.selectors.orders import OPEN_VALUES
from trading.services.beginnings import seen_read, seen_write
from trading.services.cancels import cancel_again
from trading.services.differences import books_compare
from trading.services.events import cash_events_book
from trading.services.executions import ABSENT, LEFT, fills_make_up, report_apply
from trading.services.externals import (
    UnknownInstrument,
    filled_before,
    order_import,
    position_open,
    report_named,
)
from trading.services.keys import clock_due, clock_words, facts_read, key_use
from trading.services.submissions import ref_of

logger = logging.getLogger(__name__)
SYNCED: Final = (AccountStatus.CONNECTING, AccountStatus.ACTIVE, AccountStatus.ERROR)
_PERIODS: Final = {
    AccountStatus.ACTIVE: settings.ORDERS_SYNC_PERIOD,
    AccountStatus.CONNECTING: settings.LINK_TICK,
    AccountStatus.ERROR: settings.LINK_RETRY_PERIOD,
    AccountStatus.FROZEN: settings.LINK_RETRY_PERIOD,
}
OPEN_TRIES: Final = 3  # readings of a new account, until one finds nothing moving
#: What our columns refuse of one order must not keep us from reading the others.
UNKEPT: Final = (IntegrityError, DataError, InvalidOperation, OverflowError)
CLOCK_COARSE: Final = timedelta(seconds=2)  # so far off is a clock that is told in whole seconds
SHORT: Final = "It holds {symbol} short, which SpeedTrade cannot keep books of. Close that first."
TWIN: Final = "This account at the broker is connected here already, with another key."
ANOTHER: Final = "This key is for another account at the broker. Connect it as one of its own."
MAY_NOT: Final = "The broker does not let this account trade."
SILENT: Final = "The broker does not answer. We go on trying."


def accounts_due(*, now: datetime) -> list[int]:
    """Accounts at brokers that should be read now, the longest silent first."""
    soon = Q(link__attempted_at__isnull=True)
    due = Q()
    for status, period in _PERIODS.items():
        due |= Q(status=status, link__attempted_at__lte=now - period)
    rows = BrokerageAccount.objects.exclude(broker=BrokerKind.PAPER)
    # Without a stream the news of open orders come by asking; an exchange counts our questions.
    working = Order.objects.filter(
        brokerage_account=OuterRef("pk"), state__in=[state.value for state in SENT_STATES]
    )
    quiet = Q(broker=BrokerKind.ALPACA, status=AccountStatus.ACTIVE, link__streaming=False)
    due |= Q(Exists(working), quiet, link__attempted_at__lte=now - settings.POLL_PERIOD)
    known = Q(status__in=SYNCED) | Q(status=AccountStatus.FROZEN, link__began_at__isnull=False)
    rows = rows.filter(known).filter(soon | due)
    return list(rows.order_by("link__attempted_at").values_list("pk", flat=True))


def account_sync(*, account_id: int, now: datetime) -> bool:
    """Read one account at its broker; whether all of it could be read.

    Nothing happens where another worker is at it.
    """
    with Lease(f"sync:{account_id}") as lease:
        if not lease.take():
            return False
        account = BrokerageAccount.objects.select_related("user").filter(pk=account_id).first()
        if account is None or account.broker == BrokerKind.PAPER:
            return False
        link, _ = BrokerLink.objects.get_or_create(
            brokerage_account=account, defaults={"created_at": now}
        )
        BrokerLink.objects.filter(pk=link.pk).update(attempted_at=now)
        try:
            broker = broker_for(account)
            if link.began_at is None:
                _open(account, broker, now)
            else:
                _follow(account, link, broker, now)
        except AuthFailed as error:
            account_fail(account_id=account_id, reason=str(error), now=now)
        except BrokerError as error:
            logger.warning("sync_failed", extra={"account": account_id, "error": str(error)})
            _silent(account, link, now)
        else:
            return True
        return False


def _silent(account: BrokerageAccount, link: BrokerLink, now: datetime) -> None:
    """No word from the broker: a new account says so in time, an old one turns blind by itself."""
    asked = account.connected_at or link.created_at
    if account.status == AccountStatus.CONNECTING and now - asked >= settings.CONNECT_PATIENCE:
        account_fail(account_id=account.pk, reason=SILENT, now=now)


# ── the first time ───────────────────────────────────────────────────────────
def _open(account: BrokerageAccount, broker: Broker, now: datetime) -> None:
    """Take what is there into the books, at a moment at which nothing moved."""
    facts = key_use(account_id=account.pk, broker=broker)
    if off := clock_words(facts):  # orders are listed and told apart by its stamps
        raise AuthFailed(off)
    if facts.clock_doubt is None:
        raise OutcomeUnknown("The broker does not tell its time.")
    _only_here(account, facts)
    moment, holdings, orders, stamps = _still(broker, now)
    if short := next((one for one in holdings.positions if one.qty < 0), None):
        raise AuthFailed(SHORT.format(symbol=short.symbol))
    with transaction.atomic():
        locked = account_lock(account.pk)
        link = BrokerLink.objects.select_for_update().get(brokerage_account=locked)
        if link.began_at is not None:
            return
        account_keep_in(account=locked, currency=holdings.currency)
        cash_open(account=locked, amount=holdings.cash, now=now)
        ignored = list(holdings.ignored)
        for position in holdings.positions:
            if position.qty and not position_open(account=locked, position=position, now=now):
                ignored.append(position.symbol)  # noqa: PERF401 - it books while it asks
        # By the broker's clock: what was not seen is told from what was before by it. That clock
        # is taken at its earliest, so that nothing which comes later counts as of before; and a
        # venue may tell it in whole seconds. What was seen is of before whatever it says.
        link.number = facts.number
        latest = timezone.now() + facts.clock_offset + facts.clock_doubt + CLOCK_COARSE
        link.began_at = max([moment + facts.clock_offset, *(at for at in stamps if at <= latest)])
        link.orders_at = link.holdings_at = now
        link.ignored = ignored
        link.seen = seen_write(orders)
        link.save()
        # With the books, or never: a later reading takes them for orders of before.
        for report in orders:
            if report.state not in FINAL_STATES:
                _take_in(account, report, now)
    account_activate(account_id=account.pk, now=timezone.now())
    account_synced(account_id=account.pk, now=timezone.now())
    live_publish(user_id=account.user_id, kind="portfolio", thing_id=account.pk)


def _only_here(account: BrokerageAccount, facts: KeyFacts) -> None:
    """Refuse a second key of an account that has books here: it would count all of it twice."""
    twins = BrokerLink.objects.filter(
        number=facts.number,
        began_at__isnull=False,
        brokerage_account__user=account.user_id,
        brokerage_account__broker=account.broker,
        brokerage_account__exchange=account.exchange,
        brokerage_account__mode=account.mode,
    ).exclude(brokerage_account=account)
    kept = twins.exclude(brokerage_account__status=AccountStatus.DISCONNECTED)
    if facts.number and kept.exists():
        raise AuthFailed(TWIN)


def _still(
    broker: Broker, now: datetime
) -> tuple[datetime, Holdings, Sequence[BrokerOrder], list[datetime]]:
    """(a moment, holdings, orders, stamps) where a reading before it and one after it were alike.

    Read are orders, holdings, the moment, orders, holdings. Of any fill: where it came before the
    first holdings, the second orders count it, so it is in both. Where it came after them and the
    second orders count it, the first do not: read again. Where they do not count it, it must not
    be in the second holdings, which equal the first: else it has undone itself by another fill that
    is not counted either. So the holdings hold exactly what these orders count: nothing is booked
    twice or never that is booked beyond it. Only quantities of orders are compared, for a trade may
    be listed later than it counts. The stamps are the broker's own, of what they show.

    Raises OutcomeUnknown.
    """
    since = now - settings.SYNC_OVERLAP  # what the next reading lists must be known by its stamps
    before = _shape(broker.list_since(since)), broker.holdings()
    for _ in range(OPEN_TRIES):
        moment = timezone.now()
        orders = broker.list_since(since)
        events = broker.cash_events(since)
        after = _shape(orders), broker.holdings()
        if before == after:
            return moment, after[1], orders, list(_stamps(orders, events))
        before = after
    raise OutcomeUnknown("The account trades too fast to be read; we try again.")


def _stamps(orders: Sequence[BrokerOrder], events: Sequence[CashEvent]) -> Iterator[datetime]:
    for order in orders:
        if order.terms is not None:
            yield order.terms.created_at
        yield from (fill.executed_at for fill in order.fills)
    yield from (event.at for event in events)


def _shape(orders: Sequence[BrokerOrder]) -> set[tuple[str, object]]:
    return {(order.broker_order_id, order.filled_qty) for order in orders}


# ── and then ─────────────────────────────────────────────────────────────────
def _follow(account: BrokerageAccount, link: BrokerLink, broker: Broker, now: datetime) -> None:
    """Orders each time, cash and positions when they are due.

    A clock that is too far off, or a broker that blocks it, keeps an account from trading again,
    and not from hearing what became of its orders.
    """
    kept_from = ""
    if account.status != AccountStatus.ACTIVE:
        facts = facts_read(account_id=account.pk, broker=broker)
        if link.number and facts.number and facts.number != link.number:
            raise AuthFailed(ANOTHER)
        kept_from = clock_words(facts) if facts.may_trade else facts.words or MAY_NOT
    orders_follow(account, link, broker, now)
    BrokerLink.objects.filter(pk=link.pk).update(orders_at=now)
    # As of now, which is when a page looks: the reading itself took its time.
    if link.orders_at is None or timezone.now() - link.orders_at > settings.BLIND_AFTER:
        live_publish(user_id=account.user_id, kind="account", thing_id=account.pk)  # it sees again
    due = link.holdings_at is None or now - link.holdings_at >= settings.HOLDINGS_SYNC_PERIOD
    if due or account.status != AccountStatus.ACTIVE:
        # Since the last comparison, and not since the last list: they may have failed alone.
        late = settings.EVENTS_LATE if broker.caps.events_by_day else settings.EVENTS_OVERLAP
        since = (link.holdings_at or link.began_at or now) - late
        cash_events_book(account=account, events=broker.cash_events(since), now=now)
        agreed = _compare(account, broker, now)
        if agreed is False and late_fills_find(account, broker, now):
            agreed = _compare(account, broker, timezone.now())
        if agreed is not None:
            BrokerLink.objects.filter(pk=link.pk).update(holdings_at=now)
            account_synced(account_id=account.pk, now=now)
        if account.status == AccountStatus.ACTIVE and clock_due(link, now):
            facts_read(account_id=account.pk, broker=broker)
    if kept_from:
        raise AuthFailed(kept_from)
    if account.status in {AccountStatus.CONNECTING, AccountStatus.ERROR}:
        account_activate(account_id=account.pk, now=timezone.now())


def _compare(account: BrokerageAccount, broker: Broker, since: datetime) -> bool | None:
    holdings = broker.holdings()
    return books_compare(account_id=account.pk, holdings=holdings, since=since, now=timezone.now())


def late_fills_find(account: BrokerageAccount, broker: Broker, now: datetime) -> int:
    """Ask once more for orders that ended here lately; how many had filled on after their end.

    No list tells of it: they are neither open nor new. So it is done where the books disagree.
    """
    ended = Order.objects.filter(
        Q(broker_order_id__gt="") | Q(reject_code__in=[ABSENT, LEFT]),
        # One that was given up with its key may have been silent for long.
        Q(closed_at__gte=now - settings.LATE_FILLS_FOR) | Q(reject_code=LEFT),
        brokerage_account=account,
        state__in=[state.value for state in FINAL_STATES],
    ).select_related("instrument")
    refs = [ref_of(order) for order in ended.order_by("-closed_at")[: settings.BROKER_LOOKUPS_MAX]]
    known = {ref.client_order_id: ref.filled_qty for ref in refs}
    found = 0
    for report in broker.list_orders(refs):
        order = _apply(account.pk, report, "poll")
        found += order is not None and order.filled_qty != known[report.client_order_id]
    return found


def orders_follow(
    account: BrokerageAccount, link: BrokerLink, broker: Broker, now: datetime
) -> None:
    """Bring our open orders to where the broker says they are, and import those made elsewhere."""
    mine = Order.objects.filter(brokerage_account=account)
    open_orders = list(mine.filter(state__in=OPEN_VALUES).select_related("instrument"))
    seen: set[str] = set()
    for told_of in broker.list_since(_lookback(link, now), _booked_of(account)):
        report = report_named(account=account, report=told_of)
        if _take_in(account, report, now):
            seen.add(report.client_order_id)
    # What the list said nothing (or not enough) of is asked for by its names.
    wanting = Q(state__in=OPEN_VALUES) | Q(fills_missing_since__isnull=False)
    names = [order.client_order_id for order in open_orders]
    rows = mine.filter(wanting | Q(client_order_id__in=names)).select_related("instrument")
    told = [
        order
        for order in rows.exclude(state="pending")
        if order.client_order_id not in seen or order.fills_missing_since is not None
    ]
    if not told:
        return
    for report in broker.list_orders([ref_of(order) for order in told]):
        order = _apply(account.pk, report, "poll")
        since = order.fills_missing_since if order else None
        if since is not None and now - since >= settings.FILLS_MISSING_AFTER:
            fills_make_up(account_id=account.pk, report=report, now=timezone.now())


def _booked_of(account: BrokerageAccount) -> Booked:
    """How much of its orders is in our books, with what the opening balance has of them."""

    def booked(names: Collection[str]) -> dict[str, Decimal]:
        rows = Order.objects.filter(brokerage_account=account, client_order_id__in=names)
        parts = rows.values_list("client_order_id", "filled_qty", "cum_base")
        return {name: filled + base for name, filled, base in parts}

    return booked


def _take_in(account: BrokerageAccount, report: BrokerOrder, now: datetime) -> bool:
    """Apply a report, importing its order first where it is not ours; whether its fills are known.

    What the first reading showed of it is in the opening balance.
    """
    mine = Order.objects.filter(brokerage_account=account)
    known = mine.filter(client_order_id=report.client_order_id).exists()
    if not known:
        link = BrokerLink.objects.filter(brokerage_account=account).first()
        if link is None or link.began_at is None:
            return True
        seen = seen_read(link, report)
        base = filled_before(report, link.began_at, seen.qty if seen else None)
        if base is None:
            return True
        try:
            order_import(
                account_id=account.pk, report=report, base=base, since=link.began_at, now=now
            )
        except UnknownInstrument as error:
            logger.warning("external_ignored", extra={"account": account.pk, "why": str(error)})
            return True
        except UNKEPT:
            logger.exception("report_unkept", extra={"account": account.pk})
            return True
    order = _apply(account.pk, report, "external" if not known else "poll")
    return order is None or order.fills_missing_since is None


def _apply(account_id: int, report: BrokerOrder, source: str) -> Order | None:
    try:
        order = report_apply(
            account_id=account_id, report=report, source=source, now=timezone.now()
        )
        if order is not None:
            cancel_again(order=order, reported=report.state, now=timezone.now())
        return order
    except (InvariantBroken, *UNKEPT):
        # A report that cannot be: support must look at this order, the others go on.
        logger.exception("report_refused", extra={"account": account_id})
        return None


def _lookback(link: BrokerLink, now: datetime) -> datetime:
    """From when on orders are listed: those that are open come along however old they are."""
    return (link.orders_at or link.began_at or now) - settings.SYNC_OVERLAP


def link_touch(*, account_id: int) -> None:
    """Have an account read at the next beat: its stream had a gap."""
    BrokerLink.objects.filter(brokerage_account_id=account_id).update(attempted_at=None)


def link_read_now(*, link: BrokerLink, actor: User, reason: str, now: datetime) -> None:
    """Support has an account read out of its turn. Raises InvalidInput without a reason."""
    reason = reason_required(reason)
    with transaction.atomic():
        link_touch(account_id=link.brokerage_account_id)
        audit_record(
            actor=actor,
            action="link.read",
            target=f"brokerlink:{link.pk}",
            reason=reason,
            data={},
            now=now,
        )
