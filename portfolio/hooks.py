"""What the portfolio plugs into the apps below it, at start."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone

from accounts.models import BrokerageAccount, User
from accounts.services.closing import register_closer
from accounts.services.openings import register_opener
from marketdata.hours import market_hours
from marketdata.services.alerts import alerts_switch_off
from marketdata.services.watchlists import watchlist_ensure_default
from portfolio.presenters import portfolio_payload
from speedtrade.lib import live


def register() -> None:
    """New accounts get their opening cash; sockets get the portfolio message."""
    from portfolio import exports
    from portfolio.services.transfers import account_fund

    register_opener(account_fund)
    register_opener(_watchlist)
    register_closer(_alerts_off)
    live.register_renderer("portfolio", _render)
    live.register_portfolio(_holdings, _value)
    exports.register()


def _watchlist(account: BrokerageAccount, now: datetime) -> None:
    """The first page finds a list to show, so that no GET has to make one."""
    watchlist_ensure_default(user=account.user, now=now)


def _alerts_off(user: User, now: datetime) -> None:
    """The apps of users and of the market do not know each other; this one knows both."""
    alerts_switch_off(user=user)


def _render(user_id: int, account_id: int) -> dict[str, Any] | None:
    """The portfolio message for one of the user's accounts, or None where it is not theirs."""
    from portfolio.selectors import summary_get

    account = BrokerageAccount.objects.filter(pk=account_id, user_id=user_id).first()
    if account is None:
        return None
    return _message(summary_get(account=account, now=timezone.now()))


def _holdings(user_id: int, now: datetime, account_id: int | None) -> live.Holdings | None:
    """What an account of the user holds, the default one for None: valued when a price moves."""
    from portfolio.selectors import book_load

    wanted = {"is_default": True} if account_id is None else {"pk": account_id}
    account = BrokerageAccount.objects.filter(user_id=user_id, **wanted).first()
    if account is None:
        return None
    book = book_load(account=account, now=now)
    kinds = {held.asset_type for held in book.held}
    over_at = min((market_hours().next_open(kind, now) for kind in kinds), default=None)
    return live.Holdings(tuple(held.symbol for held in book.held), book, over_at)


def _value(book: Any, quotes: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The portfolio message at these quotes; no database, no waiting."""
    from portfolio.domain.pnl import value_book
    from portfolio.selectors import price_points

    return _message(value_book(book, price_points(quotes, now), now))


def _message(summary: Any) -> dict[str, Any]:
    return {"type": "portfolio", "portfolio": portfolio_payload(summary)}
