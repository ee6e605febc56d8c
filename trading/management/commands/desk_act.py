"""`manage.py desk_act ACT ID "why"`: what nobody at the desk does to what is their own.

For a house whose one person is the support desk and trades too. What they may do on their own pages
(cancel, revoke keys, end log-ins) is not here, nor what time mends.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts.services.accounts import account_unfreeze
from speedtrade.lib.errors import DomainError
from speedtrade.lib.later import later_done
from speedtrade.lib.money import plain
from trading.models import Order
from trading.services.differences import difference_accept
from trading.services.halts import PAGES_TOLD_WITHIN
from trading.services.unreachable import order_give_up


def _accept(key: int, reason: str, now: datetime) -> str:
    row = difference_accept(difference_id=key, actor=None, reason=reason, now=now)
    return f"Booked {plain(row.theirs - row.ours)} {row.asset}."


def _give_up(key: int, reason: str, now: datetime) -> str:
    order = Order.objects.select_related("brokerage_account").filter(pk=key).first()
    if order is None:
        raise CommandError("There is no such order.")
    done = order_give_up(order=order, actor=None, reason=reason, source="command", now=now)
    return f"Order #{key}: {done}"


def _unfreeze(key: int, reason: str, now: datetime) -> str:
    account = account_unfreeze(account_id=key, actor=None, reason=reason, now=now)
    return f"{account.label} (#{key}) is active again."


ACTS: dict[str, Callable[[int, str, datetime], str]] = {
    "accept": _accept,
    "give_up": _give_up,
    "unfreeze": _unfreeze,
}


class Command(BaseCommand):
    help = "Accept a difference, give up a lost order, unfreeze an account: by its number."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("act", choices=sorted(ACTS))
        parser.add_argument("id", type=int, help="of the difference, the order, the account")
        parser.add_argument("reason", help="why; it stays in the audit")

    def handle(self, *args: Any, **options: Any) -> None:
        act = ACTS[options["act"]]
        try:
            self.stdout.write(act(options["id"], options["reason"], timezone.now()))
        except DomainError as error:
            raise CommandError(error.detail) from error
        later_done(PAGES_TOLD_WITHIN)
