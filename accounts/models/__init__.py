from accounts.models.api_keys import ApiKey, Scope
from accounts.models.audit import AuditEvent, AuditSeal
from accounts.models.brokerage import (
    AccountStatus,
    BrokerageAccount,
    BrokerCredential,
    BrokerKind,
    Mode,
)
from accounts.models.devices import BrowserSession, TrustedBrowser
from accounts.models.letters import Letter
from accounts.models.resets import FactorReset
from accounts.models.tokens import TokenFamily
from accounts.models.users import Density, OrderUnit, Palette, Theme, User

__all__ = [
    "AccountStatus",
    "ApiKey",
    "AuditEvent",
    "AuditSeal",
    "BrokerCredential",
    "BrokerKind",
    "BrokerageAccount",
    "BrowserSession",
    "Density",
    "FactorReset",
    "Letter",
    "Mode",
    "OrderUnit",
    "Palette",
    "Scope",
    "Theme",
    "TokenFamily",
    "TrustedBrowser",
    "User",
]
