"""Looking things up, with the question whose they are in the same call."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import BigIntegerField, QuerySet, Value
from django.db.models.functions import Lower

from accounts.models import AuditEvent, BrokerageAccount, User
from speedtrade.lib.compiled import Compiled, Given
from speedtrade.lib.errors import NotFound


def user_by_login(name: str) -> User | None:
    """The user of this name or e-mail address. A name holds no '@', so it can never be both."""
    name = name.strip()
    column = "email" if "@" in name else "username"
    if column == "username":
        name = User.normalize_username(name)
    # Lowered by the database on both sides, as in the unique index that this uses.
    found = User.objects.alias(lowered=Lower(column)).filter(lowered=Lower(Value(name)))
    return found.first()


def accounts_of(user: User) -> QuerySet[BrokerageAccount]:
    """The brokerage accounts of this user, the default one first."""
    return BrokerageAccount.objects.filter(user=user).order_by("-is_default", "id")


_OWN = Given("user_id", BigIntegerField())
_DEFAULT_ACCOUNT = Compiled(lambda: BrokerageAccount.objects.filter(user=_OWN, is_default=True))
_ACCOUNT = Compiled(
    lambda: BrokerageAccount.objects.filter(user=_OWN, pk=Given("account_id", BigIntegerField()))
)


def account_for_user(*, user: User, account_id: int | None = None) -> BrokerageAccount:
    """This user's account, the default one without an id; raises NotFound for all others."""
    if account_id is None:
        account = _DEFAULT_ACCOUNT.first(user_id=user.pk)
    else:
        account = _ACCOUNT.first(user_id=user.pk, account_id=account_id)
    if account is None:
        raise NotFound("You have no such account.")
    return account


_DOORS = {"page": "in a browser", "api": "with the API"}
_ACTS = {
    "user.login": "Logged in",
    "user.register": "Account opened",
    "user.email_change": "E-mail address changed",
    "user.password_change": "Password changed",
    "user.sessions_end": "Other sessions logged out",
    "user.factor_add": "Second factor set up",
    "user.factor_remove": "Second factor removed",
    "user.factor_wrong": "A wrong code after the right password",
    "user.session_end": "A browser logged out from here",
    "user.browser_trust": "A browser trusted",
    "user.trust_end": "Trust in browsers ended",
    "user.recovery_renew": "New recovery codes",
}


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """Something that a person should remember to have done."""

    at: datetime
    words: str


def security_log(user: User) -> list[SecurityEvent]:
    """The newest log-ins and changes of a user's own account, from the audit."""
    rows = AuditEvent.objects.filter(
        target=f"user:{user.pk}", actor=user, action__in=list(_ACTS)
    ).order_by("-at")[: settings.SECURITY_LOG_SHOWN]
    return [SecurityEvent(row.at, _words(row)) for row in rows]


def _words(row: AuditEvent) -> str:
    door = _DOORS.get(str(row.data.get("door", "")), "")
    return f"{_ACTS[row.action]} {door}".strip()
