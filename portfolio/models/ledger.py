"""The ledger: append-only double entry, in cash and in securities.

A JournalEntry is one fact (a deposit, a fill). Its Transfers move an amount of one asset from one
LedgerAccount to another, so the books sum to zero by construction. The balance on a LedgerAccount
is a projection, written in the same transaction; `check_ledger` proves that it equals its history.
Every LedgerAccount belongs to one BrokerageAccount, whose row lock therefore guards them all.
"""

from django.db import models
from django.db.models import F, Q

from accounts.models import BrokerageAccount
from marketdata.models import Instrument
from speedtrade.lib.fields import MoneyField, PriceField, QuantityField


class LedgerKind(models.TextChoices):
    CASH = "cash", "Cash"  # the user's money
    POSITION = "position", "Position"  # the user's securities
    EXTERNAL = "external", "Outside world"  # where deposits come from and withdrawals go
    MARKET = "market", "Market"  # the other side of every trade
    FEES = "fees", "Fees"  # what trading cost


OWNED = [LedgerKind.CASH, LedgerKind.POSITION]


class LedgerAccount(models.Model):
    """One pocket: (brokerage account, kind, asset). `asset` is 'USD' or an instrument's symbol."""

    brokerage_account = models.ForeignKey(
        BrokerageAccount, on_delete=models.PROTECT, related_name="ledger_accounts"
    )
    kind = models.CharField(max_length=8, choices=LedgerKind.choices)
    asset = models.CharField(max_length=20)
    balance = QuantityField(default=0)
    reserved = QuantityField(default=0)
    version = models.PositiveBigIntegerField(default=0)
    overdraft = models.BooleanField(
        default=False,
        db_default=False,
        help_text="The broker keeps the account: what happened there is booked, covered or not.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brokerage_account", "kind", "asset"], name="ledger_account_unique"
            ),
            # I3, I11: nobody owns less than nothing, and what is reserved is really there. At a
            # broker a fill can cost more than was held for it, and its owner can spend elsewhere
            # what an order of ours reserves: it happened, so the books must be able to say it.
            models.CheckConstraint(
                condition=~Q(kind__in=OWNED)
                | Q(reserved__gte=0) & (Q(overdraft=True) | Q(balance__gte=F("reserved"))),
                name="ledger_available_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=OWNED) | Q(reserved=0), name="ledger_only_owned_reserves"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.brokerage_account_id}:{self.kind}:{self.asset}"


class EntryKind(models.TextChoices):
    DEPOSIT = "deposit", "Deposit"
    WITHDRAWAL = "withdrawal", "Withdrawal"
    FILL = "fill", "Fill"
    FEE = "fee", "Fee"
    DIVIDEND = "dividend", "Dividend"


#: The reference of the cash that an account begins with.
OPENING = "opening"
#: How the references of securities begin that came in, or went out, without an order. Each is a
#: pair: their value as cash, and a trade at that value, so that deposits, cost and lots agree. What
#: goes out is traded at its cost; the withdrawal counts as what it was worth.
BROUGHT = "brought:"
#: Of these, units that a broker took as its fee: they go for nothing, so their cost is a loss.
BROUGHT_FEE = f"{BROUGHT}fee:"


class JournalEntry(models.Model):
    """One fact and why. `reference` makes it happen once: a trade id, a transfer key."""

    brokerage_account = models.ForeignKey(
        BrokerageAccount, on_delete=models.PROTECT, related_name="journal"
    )
    kind = models.CharField(max_length=10, choices=EntryKind.choices)
    reference = models.CharField(max_length=100)
    effective_at = models.DateTimeField()
    created_at = models.DateTimeField()
    amount = MoneyField(help_text="Cash that came (+) or went (-), fees included.")
    # For a fill: the terms, so that lots and positions can be rebuilt from the ledger alone.
    instrument = models.ForeignKey(
        Instrument, on_delete=models.PROTECT, null=True, related_name="+"
    )
    order_ref = models.BigIntegerField(null=True)
    side = models.CharField(max_length=4, blank=True, default="")
    qty = QuantityField(null=True)
    price = PriceField(null=True)
    notional = MoneyField(null=True)
    fee = MoneyField(default=0)

    class Meta:
        verbose_name_plural = "journal entries"
        constraints = [
            models.UniqueConstraint(
                fields=["brokerage_account", "reference"], name="journal_fact_once"
            ),
            models.CheckConstraint(
                # A comparison with NULL is not false, so NULL would pass: it is named.
                condition=~Q(kind="fill")
                | Q(
                    side__in=["buy", "sell"],
                    qty__isnull=False,
                    qty__gt=0,
                    price__isnull=False,
                    price__gt=0,
                    notional__isnull=False,
                    notional__gte=0,
                    fee__gte=0,
                    instrument__isnull=False,
                ),
                name="journal_fill_is_whole",
            ),
        ]
        indexes = [
            models.Index(fields=["brokerage_account", "-created_at", "-id"], name="journal_newest"),
            models.Index(
                fields=["brokerage_account", "instrument", "effective_at"], name="journal_fills"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"


class Transfer(models.Model):
    """An amount of one asset from one pocket to another. Never changed, never deleted (trigger).

    The balances and versions after it are kept on the row: entry n+1 starts where entry n ended.
    """

    journal = models.ForeignKey(JournalEntry, on_delete=models.PROTECT, related_name="transfers")
    source = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="+")
    target = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="+")
    asset = models.CharField(max_length=20)
    amount = QuantityField()
    source_balance = QuantityField()
    target_balance = QuantityField()
    source_version = models.PositiveBigIntegerField()
    target_version = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="transfer_positive"),
            models.CheckConstraint(condition=~Q(source=F("target")), name="transfer_moves"),
            models.UniqueConstraint(
                fields=["source", "source_version"], name="transfer_source_version"
            ),
            models.UniqueConstraint(
                fields=["target", "target_version"], name="transfer_target_version"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.asset}"


class Hold(models.Model):
    """What one open order may still cost: cash for a buy, shares for a sale; 0 when final."""

    ledger_account = models.ForeignKey(
        LedgerAccount, on_delete=models.PROTECT, related_name="holds"
    )
    order_ref = models.BigIntegerField(unique=True)
    amount = QuantityField()
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(amount__gte=0), name="hold_not_negative")]
        indexes = [
            models.Index(fields=["ledger_account"], condition=Q(amount__gt=0), name="hold_open"),
        ]

    def __str__(self) -> str:
        return f"order {self.order_ref}: {self.amount}"
