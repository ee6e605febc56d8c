"""Looking things up, with the question whose they are in the same call."""

from django.db.models import QuerySet, Value
from django.db.models.functions import Lower

from accounts.models import BrokerageAccount, User
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


def account_for_user(*, user: User, account_id: int | None = None) -> BrokerageAccount:
    """This user's account, the default one without an id; raises NotFound for all others."""
    wanted = {"is_default": True} if account_id is None else {"pk": account_id}
    account = accounts_of(user).filter(**wanted).first()
    if account is None:
        raise NotFound("You have no such account.")
    return account
