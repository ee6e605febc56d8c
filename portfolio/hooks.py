"""What the portfolio plugs into the apps below it, at start."""

from typing import Any

from django.utils import timezone

from accounts.services.openings import register_opener
from portfolio.presenters import portfolio_payload
from speedtrade.lib import live


def register() -> None:
    """New accounts get their opening cash; sockets get the portfolio message."""
    from portfolio.services.transfers import account_fund

    register_opener(account_fund)
    live.register_renderer("portfolio", _render)


def _render(user_id: int, account_id: int) -> dict[str, Any] | None:
    """The portfolio message for one of the user's accounts, or None where it is not theirs."""
    from accounts.models import BrokerageAccount
    from portfolio.selectors import summary_get

    account = BrokerageAccount.objects.filter(pk=account_id, user_id=user_id).first()
    if account is None:
        return None
    return {
        "type": "portfolio",
        "portfolio": portfolio_payload(summary_get(account=account, now=timezone.now())),
    }
