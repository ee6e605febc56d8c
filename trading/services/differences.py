"""Where our books and a broker's disagree: seen, watched, and ended by agreement or by a person."""

import logging
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.db import transaction

from accounts.models import BrokerageAccount, User
from accounts.services.accounts import reason_required
from accounts.services.audit import audit_record
from marketdata.models import Instrument
from portfolio.domain.lots import SoldTooMuch
from portfolio.models import LedgerAccount, LedgerKind
from portfolio.services.adjustments import cash_shift, holding_shift
from portfolio.services.books import account_lock
from speedtrade.lib.errors import Conflict, NotFound
from speedtrade.lib.live import live_publish
from speedtrade.lib.money import ZERO, plain
from trading.brokers.base import BrokerPosition, Holdings
from trading.models import BrokerLink, Difference, DifferenceSighting, Fill, Order
from trading.selectors.orders import OPEN_VALUES
from trading.services.externals import (
    UnknownInstrument,
    instrument_ensure,
    position_open,
    position_value,
)

logger = logging.getLogger(__name__)
ONE = Decimal(1)
FLYING = ["submitting", "lost"]  # the broker may have filled what we have not heard of


def books_compare(
    *, account_id: int, holdings: Holdings, since: datetime, now: datetime
) -> bool | None:
    """Compare cash and positions with what the broker said at about `since`; whether they agree.

    None, and no word of it, while something is on its way: an order without an answer, or a fill
    that came in after the broker was asked.
    """
    with transaction.atomic():
        account = account_lock(account_id)
        # One that was found there has had its answer: what keeps it waiting is no fill to come.
        mine = Order.objects.filter(brokerage_account=account, external=False)
        moving = mine.filter(state__in=FLYING[:1]).exists()
        late = Order.objects.filter(brokerage_account=account, fills_missing_since__isnull=False)
        fresh = Fill.objects.filter(brokerage_account=account, created_at__gte=since)
        if moving or late.exists() or fresh.exists():
            return None
        left_out = _left_out(account)
        figures = {(kind, asset): pair for kind, asset, *pair in _figures(account, holdings)}
        found = {
            key: (ours, theirs)
            for key, (ours, theirs) in figures.items()
            if key[1] not in left_out or _can_be_valued(account, key[1])
        }
        seen = Difference.objects.filter(brokerage_account=account, ended_at__isnull=True)
        for row in seen:
            if (row.kind, row.asset) not in found:
                row.ended_at, row.reason = now, "the books agree again"
                row.save(update_fields=["ended_at", "reason"])
        known = {(row.kind, row.asset): row for row in seen if row.ended_at is None}
        for key, (ours, theirs) in found.items():
            before = known.get(key)
            same = before is not None and (before.ours, before.theirs) == (ours, theirs)
            if before is not None and same and key[1] in left_out:
                _bring_in(account, before, now)
            else:
                _note(account, before, key, ours, theirs, now)
        _forget(account, {one for one in left_out if " " not in one and _agrees(figures, one)})
    return not found


def _left_out(account: BrokerageAccount) -> set[str]:
    """Holdings of before that are not in our books: nobody could say what they were worth."""
    return set(BrokerLink.objects.values_list("ignored", flat=True).get(brokerage_account=account))


def _can_be_valued(account: BrokerageAccount, symbol: str) -> bool:
    """Whether a holding that was left out has a price now, and stands still: no order works on it.

    Until then what is there and what is in our books cannot be told apart.
    """
    instrument = Instrument.objects.filter(symbol=symbol).first()
    if instrument is None or not position_value(instrument, ONE):
        return False
    working = Order.objects.filter(
        brokerage_account=account, instrument=instrument, state__in=OPEN_VALUES
    )
    return not working.exists()


def _bring_in(account: BrokerageAccount, row: Difference, now: datetime) -> None:
    """Book what a locked account has held since before our books, at today's price.

    Two comparisons in a row showed the same figures, so no fill was on its way at either. Fewer
    units there than here cannot come from before: a person looks at that.
    """
    qty, kind = row.theirs - row.ours, "crypto" if "/" in row.asset else "stock"
    held = BrokerPosition(row.asset, kind, qty, ZERO)
    if qty > 0 and not position_open(account=account, position=held, now=now):
        return
    if qty > 0:
        row.ended_at, row.reason = now, "it was there before our books, and has a price now"
        row.save(update_fields=["ended_at", "reason"])
        live_publish(user_id=account.user_id, kind="portfolio", thing_id=account.pk)
    _forget(account, {row.asset})


def _agrees(figures: Mapping[tuple[str, str], object], symbol: str) -> bool:
    return ("position", symbol) not in figures


def _forget(account: BrokerageAccount, symbols: set[str]) -> None:
    """These are left out no longer: what differs from now on came later, and a person looks."""
    if symbols:
        link = BrokerLink.objects.select_for_update().get(brokerage_account=account)
        link.ignored = [one for one in link.ignored if one not in symbols]
        link.save(update_fields=["ignored"])


def _figures(
    account: BrokerageAccount, holdings: Holdings
) -> Iterator[tuple[str, str, Decimal, Decimal]]:
    """(kind, asset, ours, theirs) of all that differs."""
    pockets = {
        (row.kind, row.asset): row.balance
        for row in LedgerAccount.objects.filter(
            brokerage_account=account, kind__in=[LedgerKind.CASH, LedgerKind.POSITION]
        )
    }
    cash = pockets.get((LedgerKind.CASH.value, account.currency), ZERO)
    if abs(cash - holdings.cash) >= settings.CASH_TOLERANCE:
        yield "cash", account.currency, cash, holdings.cash
    theirs: dict[str, Decimal] = {}
    for position in holdings.positions:
        theirs[position.symbol] = theirs.get(position.symbol, ZERO) + position.qty
    mine = {asset: qty for (kind, asset), qty in pockets.items() if kind == LedgerKind.POSITION}
    for symbol in sorted(theirs.keys() | mine.keys()):
        pair = mine.get(symbol, ZERO), theirs.get(symbol, ZERO)
        if pair[0] != pair[1]:
            yield "position", symbol, *pair


def _note(
    account: BrokerageAccount,
    row: Difference | None,
    key: tuple[str, str],
    ours: Decimal,
    theirs: Decimal,
    now: datetime,
) -> None:
    changed = row is None or (row.ours, row.theirs) != (ours, theirs)
    if row is None:
        row = Difference(
            brokerage_account=account, kind=key[0], asset=key[1], first_seen_at=now, sightings=0
        )
    row.ours, row.theirs, row.last_seen_at = ours, theirs, now
    row.sightings += 1
    row.save()
    if changed:
        DifferenceSighting.objects.create(difference=row, at=now, ours=ours, theirs=theirs)
    if row.sightings >= settings.DIFFERENCE_CONFIRMED:
        logger.error(
            "books_differ",
            extra={"account": account.pk, "asset": row.asset, "by": plain(theirs - ours)},
        )
        live_publish(user_id=account.user_id, kind="account", thing_id=account.pk)


def difference_accept(
    *, difference_id: int, actor: User | None, reason: str, now: datetime
) -> Difference:
    """Book what the broker says, for a person and with a reason; `actor` None is the command line.

    Raises NotFound, InvalidInput without a reason, Conflict where it has ended or has changed
    since it was last seen, so that nobody accepts a figure that they did not see.
    """
    reason = reason_required(reason)
    found = Difference.objects.filter(pk=difference_id).first()
    if found is None:
        raise NotFound("There is no such difference.")
    with transaction.atomic():
        account = account_lock(found.brokerage_account_id)
        row = Difference.objects.select_for_update().get(pk=difference_id)
        if row.ended_at is not None:
            raise Conflict("This difference has ended already.")
        if _ours(account, row) != row.ours:
            raise Conflict("Our books have moved since. Look again at the next comparison.")
        change, key = row.theirs - row.ours, f"difference:{row.pk}"
        if row.kind == "cash":
            cash_shift(account=account, amount=change, reference=key, now=now)
        else:
            _position_shift(account, row.asset, change, key, now)
        row.ended_at, row.accepted_by, row.reason = now, actor, reason
        row.save(update_fields=["ended_at", "accepted_by", "reason"])
        audit_record(
            actor=actor,
            action="difference.accept",
            target=f"difference:{row.pk}",
            reason=reason,
            data={"asset": row.asset, "ours": plain(row.ours), "theirs": plain(row.theirs)},
            now=now,
        )
        live_publish(user_id=account.user_id, kind="portfolio", thing_id=account.pk)
    return row


def _ours(account: BrokerageAccount, row: Difference) -> Decimal:
    kind = LedgerKind.CASH if row.kind == "cash" else LedgerKind.POSITION
    pocket = LedgerAccount.objects.filter(
        brokerage_account=account, kind=kind, asset=row.asset
    ).first()
    return pocket.balance if pocket else ZERO


def _position_shift(
    account: BrokerageAccount, symbol: str, change: Decimal, key: str, now: datetime
) -> None:
    instrument = _instrument(symbol)
    worth = position_value(instrument, change)
    try:
        holding_shift(
            account=account, instrument=instrument, qty=change, cost=worth, key=key, now=now
        )
    except SoldTooMuch as error:
        raise Conflict(
            f"The broker holds {symbol} short, which SpeedTrade cannot keep books of. Have it "
            "closed there first."
        ) from error


def _instrument(symbol: str) -> Instrument:
    try:
        return instrument_ensure(symbol, "crypto" if "/" in symbol else "stock")
    except UnknownInstrument as error:
        raise Conflict(f"{symbol} cannot be kept in the books here.") from error
