"""What a socket is told of an account: the same as the API would answer."""

from typing import Any

from accounts.models import BrokerageAccount


def render(user_id: int, account_id: int) -> dict[str, Any] | None:
    """The account message, or None where the account is not this user's."""
    from accounts.serializers import AccountSerializer  # after the settings of DRF are read

    account = BrokerageAccount.objects.filter(pk=account_id, user_id=user_id).first()
    if account is None:
        return None
    return {"type": "account", "account": dict(AccountSerializer(account).data)}
