"""Looking things up, with the question whose they are in the same call."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import BigIntegerField, Q, QuerySet, Value
from django.db.models.functions import Lower

from accounts.models import AccountStatus, ApiKey, AuditEvent, BrokerageAccount, Mode, User
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
    mine = BrokerageAccount.objects.filter(user=user).order_by("-is_default", "id")
    return mine if user.only_account_id is None else mine.filter(pk=user.only_account_id)


def trades_live(user_id: int) -> bool:
    """Whether this user has an account that moves real money, and has not let go of it."""
    live = BrokerageAccount.objects.filter(user_id=user_id, mode=Mode.LIVE)
    return live.exclude(status=AccountStatus.DISCONNECTED).exists()


_OWN = Given("user_id", BigIntegerField())
_DEFAULT_ACCOUNT = Compiled(lambda: BrokerageAccount.objects.filter(user=_OWN, is_default=True))
_ACCOUNT = Compiled(
    lambda: BrokerageAccount.objects.filter(user=_OWN, pk=Given("account_id", BigIntegerField()))
)


def account_for_user(*, user: User, account_id: int | None = None) -> BrokerageAccount:
    """This user's account, the default one without an id; raises NotFound for all others.

    For a key that is bound to one account, that one is the default and there is no other.
    """
    only = user.only_account_id
    if only is not None and account_id not in (None, only):
        raise NotFound("You have no such account.")
    account_id = only if account_id is None else account_id
    if account_id is None:
        account = _DEFAULT_ACCOUNT.first(user_id=user.pk)
    else:
        account = _ACCOUNT.first(user_id=user.pk, account_id=account_id)
    if account is None:
        raise NotFound("You have no such account.")
    return account


@dataclass(frozen=True, slots=True)
class KeyLine:
    """A key as its page shows it; `state` is active, soon, expired or revoked."""

    key: ApiKey
    state: str


def keys_of(user: User, now: datetime) -> tuple[list[KeyLine], list[KeyLine]]:
    """(living, dead) keys of this user, the newest first; of the dead as many as may live."""
    rows = ApiKey.objects.filter(user=user).select_related("account").order_by("-created_at", "-id")
    lives = Q(revoked_at=None, expires_at__gt=now)
    living = [KeyLine(key, _state(key, now)) for key in rows.filter(lives)]
    dead = [KeyLine(key, _state(key, now)) for key in rows.filter(~lives)[: settings.API_KEYS_MAX]]
    return living, dead


def _state(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at <= now:
        return "expired"
    return "soon" if key.expires_at - now <= settings.API_KEY_EXPIRES_SOON else "active"


_DOORS = {"page": "in a browser", "api": "with the API"}
_ACTS = {
    "user.login": "Logged in",
    "user.register": "Account opened",
    "user.email_change": "E-mail address changed",
    "user.email_verify": "E-mail address verified",
    "user.password_change": "Password changed",
    "user.password_link": "A link for a new password made",
    "user.password_reset": "Password set anew by a link",
    "user.sessions_end": "Other sessions logged out",
    "key.create": "API key made",
    "key.revoke": "API key revoked",
    "user.factor_add": "Second factor set up",
    "user.factor_remove": "Second factor removed",
    "user.factor_wrong": "A wrong code after the right password",
    "user.session_end": "A browser logged out from here",
    "user.browser_trust": "A browser trusted",
    "user.trust_end": "Trust in browsers ended",
    "user.recovery_renew": "New recovery codes",
    "user.factor_reset_ask": "A reset of the second factor asked for",
    "user.factor_reset": "Second factor reset",
}


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """Something that a person should remember to have done, or that support did to them."""

    at: datetime
    words: str


def security_log(user: User) -> list[SecurityEvent]:
    """The newest log-ins and changes of a user's account, whoever acted, from the audit."""
    mine = AuditEvent.objects.filter(target=f"user:{user.pk}", action__in=list(_ACTS))
    rows = mine.order_by("-at")[: settings.SECURITY_LOG_SHOWN]
    return [SecurityEvent(row.at, _words(row)) for row in rows]


def _words(row: AuditEvent) -> str:
    door = _DOORS.get(str(row.data.get("door", "")), "")
    by = "" if row.target == f"user:{row.actor_id}" else "by support"
    return " ".join(part for part in (_ACTS[row.action], door, by) if part)
