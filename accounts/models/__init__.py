from accounts.models.audit import AuditEvent
from accounts.models.brokerage import (
    AccountStatus,
    BrokerageAccount,
    BrokerCredential,
    BrokerKind,
    Mode,
)
from accounts.models.tokens import TokenFamily
from accounts.models.users import OrderUnit, Palette, Theme, User

__all__ = [
    "AccountStatus",
    "AuditEvent",
    "BrokerCredential",
    "BrokerKind",
    "BrokerageAccount",
    "Mode",
    "OrderUnit",
    "Palette",
    "Theme",
    "TokenFamily",
    "User",
]
