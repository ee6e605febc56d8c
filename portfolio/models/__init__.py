from portfolio.models.ledger import (
    BROUGHT,
    BROUGHT_FEE,
    OPENING,
    EntryKind,
    Hold,
    JournalEntry,
    LedgerAccount,
    LedgerKind,
    Transfer,
)
from portfolio.models.performance import EquitySnapshot, LedgerCheck
from portfolio.models.positions import Lot, Position
from portfolio.models.transfers import CashTransfer, Direction
from portfolio.models.welcome import WelcomeDismissal

__all__ = [
    "BROUGHT",
    "BROUGHT_FEE",
    "OPENING",
    "CashTransfer",
    "Direction",
    "EntryKind",
    "EquitySnapshot",
    "Hold",
    "JournalEntry",
    "LedgerAccount",
    "LedgerCheck",
    "LedgerKind",
    "Lot",
    "Position",
    "Transfer",
    "WelcomeDismissal",
]
