"""Paper money in and out, once per key."""

import hashlib
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.db import transaction

from accounts.models import AccountStatus, BrokerageAccount, BrokerKind, User
from portfolio.models import (
    OPENING,
    CashTransfer,
    Direction,
    EntryKind,
    JournalEntry,
    LedgerKind,
)
from portfolio.services.books import Books, account_lock
from speedtrade.lib.errors import DomainError, InvalidInput
from speedtrade.lib.live import live_publish
from speedtrade.lib.money import money, money_round, plain


class InsufficientCash(DomainError):
    """More was asked for than is free."""

    code = "insufficient_cash"


class TransferRefused(DomainError):
    """This account takes no paper transfers."""

    code = "account_not_active"


class KeyReused(DomainError):
    """The key belongs to another request."""

    code = "idempotency_mismatch"


def transfer_make(
    *,
    account: BrokerageAccount,
    direction: Direction,
    amount: Decimal,
    key: str,
    requested_by: User,
    now: datetime,
) -> tuple[CashTransfer, bool]:
    """Deposit or withdraw paper cash; (transfer, whether it is new).

    The same key again gives the first transfer. Raises InvalidInput, InsufficientCash, KeyReused
    and TransferRefused (not a paper account, or one that is frozen).
    """
    if amount <= 0 or amount > settings.TRANSFER_MAX or money_round(amount) != amount:
        raise InvalidInput.field(
            "amount", f"Write an amount above 0 and up to {plain(settings.TRANSFER_MAX)}."
        )
    digest = digest_of(account.pk, direction, plain(amount))
    with transaction.atomic(durable=True):
        account = account_lock(account.pk)
        known = CashTransfer.objects.filter(requested_by=requested_by, intent_key=key).first()
        if known is not None:
            if known.intent_hash != digest:
                raise KeyReused()
            return known, False
        if account.broker != BrokerKind.PAPER or account.status != AccountStatus.ACTIVE:
            raise TransferRefused("Paper cash moves in an active paper account only.")
        journal = cash_post(
            account=account,
            direction=direction,
            amount=amount,
            reference=f"transfer:{digest_of(requested_by.pk, key)}",
            now=now,
        )
        made = CashTransfer.objects.create(
            brokerage_account=account,
            requested_by=requested_by,
            direction=direction,
            amount=amount,
            intent_key=key,
            intent_hash=digest,
            journal=journal,
            created_at=now,
        )
        live_publish(user_id=account.user_id, kind="portfolio", thing_id=account.pk)
    return made, True


def digest_of(*parts: object) -> str:
    """A fixed-length name for a combination of values."""
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()


def cash_post(
    *,
    account: BrokerageAccount,
    direction: Direction,
    amount: Decimal,
    reference: str,
    now: datetime,
) -> JournalEntry:
    """Post a deposit or withdrawal in the books of a locked account; raises InsufficientCash.

    Where a broker keeps the account it has happened already, and is booked whatever is free.
    """
    books = Books(account)
    cash, outside = (LedgerKind.CASH, account.currency), (LedgerKind.EXTERNAL, account.currency)
    incoming = direction == Direction.DEPOSIT
    pocket = books.pocket(*cash)
    free = pocket.balance - pocket.reserved
    if not incoming and amount > free and not pocket.overdraft:
        raise InsufficientCash(
            f"${money(free)} is free to withdraw; ${money(amount)} was asked for."
        )
    journal = JournalEntry.objects.create(
        brokerage_account=account,
        kind=EntryKind.DEPOSIT if incoming else EntryKind.WITHDRAWAL,
        reference=reference,
        effective_at=now,
        created_at=now,
        amount=amount if incoming else -amount,
    )
    books.move(journal, *((outside, cash) if incoming else (cash, outside)), amount)
    books.save()
    return journal


def account_fund(account: BrokerageAccount, now: datetime) -> None:
    """Give a new paper account its opening cash. Called once, where the account is opened.

    At a broker it is the broker that says what is there.
    """
    if account.broker != BrokerKind.PAPER:
        return
    locked = account_lock(account.pk)
    cash_post(
        account=locked,
        direction=Direction.DEPOSIT,
        amount=settings.PAPER_OPENING_CASH,
        reference=OPENING,
        now=now,
    )
