"""The only writer of the ledger's pockets. The caller holds the lock of the brokerage account."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache

from django.db import connection
from django.db.models import BigIntegerField, CharField, QuerySet
from django.db.models.expressions import Combinable

from accounts.models import BrokerageAccount, BrokerKind
from portfolio.models import JournalEntry, LedgerAccount, LedgerKind, Transfer
from speedtrade.lib.compiled import Compiled, Given
from speedtrade.lib.errors import InvariantBroken, NotFound
from speedtrade.lib.money import ZERO
from speedtrade.lib.rows import rows_add, rows_update

Pocket = tuple[LedgerKind, str]
_ACCOUNT_ID = Given("account_id", BigIntegerField())


def account_locked(**beside: Combinable) -> QuerySet[BrokerageAccount]:
    """The account `account_id`, to be locked by who reads it.

    `beside` is read in the same query, into attributes of the row, as it was before the lock came.
    """
    rows = BrokerageAccount.objects.select_for_update(no_key=True, of=("self",))
    return rows.annotate(**beside).filter(pk=_ACCOUNT_ID)


_LOCKED = Compiled(account_locked)


def account_lock(account_id: int, locked: Compiled[BrokerageAccount] = _LOCKED) -> BrokerageAccount:
    """The account's row, locked until the transaction ends: the first lock of any change of money.

    `locked` is an `account_locked` with something beside it.
    Raises NotFound, and InvariantBroken outside a transaction, where a lock would protect nothing.
    """
    if not connection.in_atomic_block:
        raise InvariantBroken("an account is locked inside a transaction only")
    account = locked.first(account_id=account_id)
    if account is None:
        raise NotFound("There is no such account.")
    return account


@dataclass
class Books:
    """The pockets of one locked account: changes gather here and `save` writes them at once."""

    account: BrokerageAccount
    _pockets: dict[Pocket, LedgerAccount] = field(default_factory=dict)
    _transfers: list[Transfer] = field(default_factory=list)
    _touched: dict[Pocket, LedgerAccount] = field(default_factory=dict)

    def load(self, pockets: Iterable[Pocket], *, make: bool = True) -> None:
        """Read these pockets in one query; those that do not exist yet start at zero.

        Without `make` they are not written: who only looks leaves nothing behind.
        """
        wanted = set(pockets)
        self._read(wanted - self._pockets.keys())
        missing = [self._pockets[key] for key in sorted(wanted) if self._pockets[key].pk is None]
        if make and missing:
            LedgerAccount.objects.bulk_create(missing)

    def _read(self, unread: set[Pocket]) -> None:
        if not unread:
            return
        assets = sorted({asset for _, asset in unread})
        named = {f"asset{number}": asset for number, asset in enumerate(assets)}
        for row in _pockets(len(assets)).rows(account_id=self.account.pk, **named):
            self._pockets.setdefault((LedgerKind(row.kind), row.asset), row)
        # Only our own paper market asks us before it fills.
        overdraft = self.account.broker != BrokerKind.PAPER
        for kind, asset in unread - self._pockets.keys():
            self._pockets[kind, asset] = LedgerAccount(
                brokerage_account=self.account, kind=kind, asset=asset, overdraft=overdraft
            )

    def pocket(self, kind: LedgerKind, asset: str) -> LedgerAccount:
        """The pocket, to be changed."""
        self.load([(kind, asset)])
        return self._pockets[kind, asset]

    def seen(self, kind: LedgerKind, asset: str) -> LedgerAccount:
        """The pocket as it is, or at zero where there is none; not to be changed."""
        self.load([(kind, asset)], make=False)
        return self._pockets[kind, asset]

    def move(self, journal: JournalEntry, source: Pocket, target: Pocket, amount: Decimal) -> None:
        """Move `amount` (of the asset that both pockets are in) from `source` to `target`."""
        if source[1] != target[1] or amount <= 0:
            raise InvariantBroken(f"cannot move {amount} from {source} to {target}")
        self.load([source, target])
        giver, taker = self._pockets[source], self._pockets[target]
        giver.balance, taker.balance = giver.balance - amount, taker.balance + amount
        giver.version, taker.version = giver.version + 1, taker.version + 1
        self._touched[source], self._touched[target] = giver, taker
        self._transfers.append(
            Transfer(
                journal=journal,
                source=giver,
                target=taker,
                asset=source[1],
                amount=amount,
                source_balance=giver.balance,
                target_balance=taker.balance,
                source_version=giver.version,
                target_version=taker.version,
            )
        )

    def reserve(self, pocket: Pocket, change: Decimal) -> None:
        """Raise (or with a negative change lower) what open orders reserve of a pocket."""
        if change == ZERO:
            return
        row = self.pocket(*pocket)
        row.reserved += change
        self._touched[pocket] = row

    def save(self) -> None:
        """Write pockets and transfers; raises InvariantBroken before the database has to refuse."""
        rows_update(self._checked(), ("balance", "reserved", "version"))
        rows_add(self._transfers)
        self._touched, self._transfers = {}, []

    def reserved_rows(self) -> list[LedgerAccount]:
        """The pockets whose `reserved` has changed, for the caller to write; raises as `save`.

        For who writes them in one statement with more; where money has moved there is only `save`.
        """
        rows = self._checked()
        if self._transfers:
            raise InvariantBroken("books in which money has moved are saved")
        self._touched = {}
        return rows

    def _checked(self) -> list[LedgerAccount]:
        for (kind, _), row in self._touched.items():
            owned = kind in (LedgerKind.CASH, LedgerKind.POSITION)
            covered = row.overdraft or row.reserved <= row.balance
            if owned and not (row.reserved >= ZERO and covered):
                raise InvariantBroken(
                    f"pocket {row} would have {row.balance} with {row.reserved} reserved"
                )
        return list(self._touched.values())


@lru_cache(maxsize=16)
def _pockets(assets: int) -> Compiled[LedgerAccount]:
    """The pockets of an account in that many assets: `asset0`, `asset1` and so on."""
    named = [Given(f"asset{number}", CharField()) for number in range(assets)]
    return Compiled(
        lambda: LedgerAccount.objects.filter(brokerage_account=_ACCOUNT_ID, asset__in=named)
    )
