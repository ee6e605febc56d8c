"""Who trades in a run, and what: users with tokens, symbols with prices, a portfolio of fifty."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.contrib.auth.models import update_last_login
from django.contrib.auth.signals import user_logged_in
from django.utils import timezone

from accounts.models import BrokerageAccount, User
from accounts.selectors import account_for_user
from accounts.services.users import user_register
from accounts.tokens import tokens_issue
from marketdata import quote_store
from marketdata.models import Instrument
from speedtrade.testing.lives import instrument_make
from speedtrade.testing.market import quote
from tests.bench.http_client import request_bytes

D = Decimal
USERS, SYMBOLS, SYMBOLS_EACH = 250, 500, 10
PASSWORD = "correct-horse-9-battery"
#: Prices that no feed renews are dated so far ahead that they stay fresh for a run.
FRESH_FOR = timedelta(hours=3)
PRICE, LIMIT = "100.00", "90.00"  # every stock's ask, and a price at which nothing fills


@dataclass(frozen=True, slots=True)
class Trader:
    """A user with a funded account and a token that lasts the run."""

    user: User
    account: BrokerageAccount
    token: str


class World:
    """Made once for a run."""

    def __init__(self) -> None:
        self.now = timezone.now()
        self.symbols = symbols_make(self.now)
        self.stocks = [symbol for symbol in self.symbols if "/" not in symbol]
        self.traders = [trader_make(f"bench{n}", self.now) for n in range(USERS)]

    def fresh(self) -> None:
        """Every price as it was, and fresh: a publisher may have left it to grow old."""
        prices_put(self.symbols, timezone.now() + FRESH_FOR)

    def orders(self, share: int = 0, of: int = 1, *, market: bool = False) -> Iterator[bytes]:
        """Endless order requests of the share-th part of the traders, each another user's."""
        kind = {"order_type": "market"} if market else {"order_type": "limit", "limit_price": LIMIT}
        symbols = itertools.cycle(self.stocks[:50])
        for trader in itertools.cycle(self.traders[share::of]):
            body = {"symbol": next(symbols), "side": "buy", "qty": "1", "time_in_force": "gtc"}
            yield request_bytes(
                "POST", "/api/v1/orders", token=trader.token, body=json.dumps(body | kind).encode()
            )

    def subscriptions(self, count: int) -> list[tuple[str, list[str]]]:
        """(token, ten symbols) of so many sockets, every symbol as often as any other."""
        size = len(self.symbols)
        return [
            (
                self.traders[n % USERS].token,
                [self.symbols[(n * SYMBOLS_EACH + k) % size] for k in range(SYMBOLS_EACH)],
            )
            for n in range(count)
        ]


def symbols_make(now: datetime) -> list[str]:
    """SYMBOLS instruments, all with a deep price that stays fresh; those of the product first."""
    known = list(Instrument.objects.order_by("id").values_list("symbol", flat=True))[:SYMBOLS]
    more = [f"QQ{n}" for n in range(SYMBOLS - len(known))]
    for symbol in more:
        instrument_make(symbol, f"Filler {symbol}", D(PRICE), "0.01", as_of=now + FRESH_FOR)
    prices_put([*known, *more], now + FRESH_FOR)
    return [*known, *more]


def prices_put(symbols: list[str], as_of: datetime, *, seq: int = 1) -> None:
    """99.99 bid, 100.00 asked, more on offer than a run can take."""
    sizes = ("100000000",)
    quote_store.quotes_put([quote(s, now=as_of, sizes=sizes, seq=seq) for s in symbols], beat=as_of)


def trader_make(name: str, now: datetime) -> Trader:
    user = user_register(username=name, email=f"{name}@example.com", password=PASSWORD, now=now)
    return Trader(user, account_for_user(user=user), tokens_issue(user=user, now=now).access_token)


def cookie_of(user: User) -> str:
    """The header of a browser in which this user is logged in."""
    from django.conf import settings
    from django.test import Client

    user_logged_in.disconnect(update_last_login, dispatch_uid="update_last_login")
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    return f"Cookie: {name}={client.cookies[name].value}\r\n"
