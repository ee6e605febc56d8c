"""The world of hard states, in the database and Redis of a product that runs.

    SPEEDTRADE_DATA_DIR=… python -m speedtrade.testing.states

makes it (once: again only opens new sessions) and prints JSON
`{user: {"password": …, "session": …, "orders": {state: id}}}`, so that a browser is logged in by
its cookie at once; the id of the watchlist stands among the orders. Who is who stands in PEOPLE.
Money moves through the services or through the paths that they share, so `check_ledger` finds
nothing in any of them; only the tens of thousands of closed orders of `full` are copies of rows,
and those moved no money.
"""

import json
import math
import os
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

if __name__ == "__main__":  # models are imported below, and need settings first
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "speedtrade.settings")
    django.setup()

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection, transaction
from django.utils import timezone

from accounts.keys import BrokerKey
from accounts.models import BrokerageAccount, User
from accounts.selectors import account_for_user
from accounts.services.accounts import account_freeze
from accounts.services.credentials import credential_put
from accounts.services.staff import support_grant
from accounts.services.users import user_register
from marketdata import quote_store
from marketdata.models import Instrument
from marketdata.selectors import watchlist_default
from marketdata.services.instruments import instrument_halt
from marketdata.services.watchlists import watchlist_add
from portfolio.models import EquitySnapshot
from speedtrade.lib.money import ZERO, money_round
from speedtrade.testing.alerts import alert_long, alerts_each, alerts_many
from speedtrade.testing.cast import give_app, session_confirm
from speedtrade.testing.keys import keys_make
from speedtrade.testing.lives import Life, cash_move, instrument_make, order_live, price_of
from trading.domain.orders import OrderState
from trading.models import BrokerLink, Order

D = Decimal
PASSWORD = "correct-horse-9-battery"
#: Quotes that no feed renews are dated so far ahead that they stay fresh as long as tests run.
FRESH_FOR = timedelta(hours=2)
PEOPLE = {
    "empty": "nothing bought yet",
    "broke": "no cash at all, and nothing bought",
    "mixed": "an order in every state, and a holding without a fresh price",
    "extremes": "the longest name, the smallest and the largest price, the largest position",
    "frozen": "a frozen account with a holding",
    "connected": "a live account, one that is connecting, and one whose key is refused",
    "wealthy": "a live account with money in it, whose broker has just spoken",
    "full": "300 positions and 50,000 orders",
    "desk": "support staff",
}
FULL_POSITIONS, FULL_OPEN, FULL_LOTS, FULL_ORDERS = 300, 60, 25, 50_000
HALTED = "HYG"  # a symbol of the simulated market; no other test trades it
STALE = "ZOLD"
LONGEST, LARGEST, SMALLEST = "ZLONG", "ZBIG", "ZTINY/USD"
EXTREMES = (  # symbol, name, price, price tick, what the position holds
    (
        LONGEST,
        "The Most Excellent International Holdings & Trust Corporation",
        "184.32",
        ".01",
        "7",
    ),
    (LARGEST, "Large Figures Inc.", "712345.67", "0.01", "12.345678"),
    (SMALLEST, "Tiny Coin", "0.00001234", "0.00000001", "1000000.123456789"),
)


# ── instruments of our own, with quotes that no feed touches ─────────────────
def fillers_make(count: int, now: datetime) -> list[Instrument]:
    """`count` instruments that only fill lists."""
    return [
        instrument_make(
            f"ZZ{n:03}", f"Filler {n} Holdings", D(20 + n * 7 % 230), "0.01", as_of=now + FRESH_FOR
        )
        for n in range(1, count + 1)
    ]


# ── people ───────────────────────────────────────────────────────────────────
def person_make(name: str, now: datetime, *, cash: Decimal = ZERO) -> BrokerageAccount:
    """A registered user's account, with so much more than the opening cash."""
    user = user_register(username=name, email=f"{name}@example.com", password=PASSWORD, now=now)
    account = account_for_user(user=user)
    if cash:
        cash_move(account, cash, now)
    return account


def history_make(account: BrokerageAccount, now: datetime, worth: Decimal) -> None:
    """A year of snapshots that ends near `worth`, so that charts have a line to draw."""
    moments = [now - timedelta(days=n) for n in range(365, 1, -1)]
    moments += [now - timedelta(minutes=10 * n) for n in range(140, 0, -1)]
    EquitySnapshot.objects.bulk_create(
        EquitySnapshot(
            brokerage_account=account,
            at=at.replace(second=0, microsecond=0),
            cash=worth / 2,
            positions_value=money_round(worth / 2 * D(f"{1 + math.sin(n / 17) / 25:.6f}")),
            net_deposits=worth,
        )
        for n, at in enumerate(moments)
    )
    BrokerageAccount.objects.filter(pk=account.pk).update(created_at=moments[0])


def mixed_make(now: datetime) -> dict[str, int]:
    """An order in every state that a person meets; {state: id}."""
    account = person_make("mixed", now)
    keys_make(account, now)
    stocks = Instrument.objects.in_bulk(["AAPL", "MSFT", "NVDA", "TSLA"], field_name="symbol")
    old = instrument_make(STALE, "Quiet Quotes Ltd.", D("48.50"), "0.01", as_of=now - FRESH_FOR)
    orders = {}
    for ago, (name, symbol, state, filled) in enumerate(
        [
            ("filled", "AAPL", OrderState.FILLED, 0),
            ("rejected", "TSLA", OrderState.REJECTED, 0),
            ("part_canceled", "NVDA", OrderState.CANCELED, 4),
            ("expired", "MSFT", OrderState.EXPIRED, 0),
            ("partial", "NVDA", OrderState.PARTIALLY_FILLED, 3),
            ("working", "MSFT", OrderState.NEW, 0),
        ]
    ):
        price = price_of(stocks[symbol])
        limit = None if state == OrderState.FILLED else (price * D("0.85")).quantize(D("0.01"))
        reason = "The paper market does not take this order." if name == "rejected" else ""
        life = Life(stocks[symbol], D(10), limit or price, state, "buy", limit, D(filled), reason)
        orders[name] = order_live(account, life, now - timedelta(minutes=60 - 9 * ago)).pk
    order_live(account, Life(old, D(20), D("50.25")), now - timedelta(days=1))
    part = Life(stocks["AAPL"], D(2), price_of(stocks["AAPL"]), side="sell")
    orders["sold"] = order_live(account, part, now - timedelta(minutes=5)).pk
    history_make(account, now, D(100_000))
    alerts_each(account.user, stocks["AAPL"], now)
    return orders


def extremes_make(now: datetime) -> dict[str, int]:
    account = person_make("extremes", now, cash=D(9_000_000))
    orders = {}
    for symbol, name, price, tick, qty in EXTREMES:
        made = instrument_make(symbol, name, D(price), tick, as_of=now + FRESH_FOR)
        life = Life(made, D(qty), D(price), limit=D(price))
        orders[symbol] = order_live(account, life, now - timedelta(hours=1)).pk
        watchlist_add(user=account.user, symbol=symbol, now=now)
        alert_long(account.user, made, now)
    return orders


def frozen_make(staff: User, now: datetime) -> dict[str, int]:
    account = person_make("frozen", now)
    stock = Instrument.objects.get(symbol="AAPL")
    order = order_live(account, Life(stock, D(3), price_of(stock)), now - timedelta(hours=1))
    account_freeze(account_id=account.pk, actor=staff, reason="A document is missing.", now=now)
    return {"filled": order.pk}


def connected_make(now: datetime) -> dict[str, int]:
    """Accounts at brokers, {what: account id}. They have no key, so nothing leaves the machine."""
    user = person_make("connected", now).user
    give_app(user)
    rows = {
        "live": BrokerageAccount(
            label="Savings", broker="alpaca", mode="live", day_cap=D(2500), last_synced_at=now
        ),
        "connecting": BrokerageAccount(
            label="Kraken, the one with the long name that hardly fits anywhere",
            broker="ccxt",
            exchange="kraken",
            mode="live",
            currency="USDT",
            day_cap=D(0),
            status="connecting",
        ),
        "error": BrokerageAccount(
            label="Alpaca paper",
            broker="alpaca",
            status="error",
            status_reason="Alpaca refuses the key: make a new one and give it to this account.",
        ),
    }
    for account in rows.values():
        account.user, account.created_at, account.connected_at = user, now, now
        account.save()
    return {name: account.pk for name, account in rows.items()}


def wealthy_make(now: datetime) -> dict[str, int]:
    """A live account that orders are taken for. Its gate is shut, so none of them is ever sent."""
    user = person_make("wealthy", now).user
    live = BrokerageAccount.objects.create(
        user=user,
        label="Savings",
        broker="alpaca",
        mode="live",
        day_cap=D(1_000_000),
        created_at=now,
        connected_at=now,
        last_synced_at=now,
    )
    key = BrokerKey("PK" + "A" * 18, "a" * 40)
    credential_put(account=live, key=key, now=now)
    heard = now + FRESH_FOR  # by then nobody has asked for it again
    BrokerLink.objects.create(
        brokerage_account=live,
        created_at=now,
        attempted_at=heard,
        orders_at=heard,
        paused_until=heard,
    )
    cash_move(live, D(500_000), now)
    return {"live": live.pk}


# ── volume ───────────────────────────────────────────────────────────────────
def books_make(now: datetime) -> None:
    """Orders in every state, money that moved, accounts at brokers: for who looks at all books."""
    for symbol in ("AAPL", "MSFT", "NVDA", "TSLA"):
        instrument_make(symbol, symbol, D(100), "0.01", as_of=now)
    mixed_make(now)
    connected_make(now)


def full_make(
    now: datetime,
    name: str = "full",
    *,
    positions: int = FULL_POSITIONS,
    working: int = FULL_OPEN,
    orders: int = FULL_ORDERS,
) -> dict[str, int]:
    """A user with so many positions, working orders, and orders in all; {state: id}."""
    account = person_make(name, now, cash=D(5_000_000))
    known = list(Instrument.objects.exclude(symbol__startswith="Z").order_by("id")[:positions])
    held = known + fillers_make(positions - len(known), now)
    prices = {key: one.last for key, one in quote_store.quotes_all().items()}
    bought = held + held[:1] * (FULL_LOTS if positions >= FULL_LOTS else 0)
    for made, instrument in enumerate(bought, start=1):
        price = prices.get(instrument.symbol, D(100))
        cost = price * D("0.97") if made % 3 else price * D("1.04")
        qty = max(D(1), (D(1_000) / price).quantize(D(1)))
        life = Life(instrument, qty, cost.quantize(instrument.price_tick))
        last = order_live(account, life, now - timedelta(hours=1 + made)).pk
    for number in range(working):
        instrument = held[number % len(held)]
        low = (prices.get(instrument.symbol, D(100)) * D("0.8")).quantize(instrument.price_tick)
        life = Life(instrument, D(1), low, OrderState.NEW, limit=low)
        order_live(account, life, now - timedelta(minutes=1 + number))
    template = order_live(
        account,
        Life(held[0], D(2), D("1.25"), OrderState.CANCELED, limit=D("1.25")),
        now - timedelta(days=30),
    )
    orders_copy(template, orders - len(bought) - working - 1, held)
    alerts_many(account.user, held, now)
    history_make(account, now, D(5_100_000))
    return {"filled": last, "canceled": template.pk}


def orders_copy(template: Order, count: int, instruments: Sequence[Instrument]) -> None:
    """`count` copies of a closed order without fills, back in time, one every seven minutes.

    In SQL: through the ORM fifty thousand rows would take longer than all the rest.
    """
    changed = {
        "client_order_id": "template.client_order_id || '-' || n",
        "intent_key": "template.intent_key || '-' || n",
        "instrument_id": "(%(instruments)s::bigint[])[1 + n %% %(length)s]",
        **{
            column: f"template.{column} - n * interval '7 minutes'"
            for column in ("created_at", "submitted_at", "accepted_at", "canceled_at", "closed_at")
        },
    }
    columns = [
        field.column
        for field in Order._meta.concrete_fields
        if field.column and not field.primary_key
    ]
    values = ", ".join(changed.get(column, f"template.{column}") for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO trading_order ({', '.join(columns)}) SELECT {values} "  # noqa: S608
            "FROM trading_order template, generate_series(1, %(count)s) n "
            "WHERE template.id = %(template)s",
            {
                "instruments": [one.pk for one in instruments],
                "length": len(instruments),
                "count": count,
                "template": template.pk,
            },
        )
        cursor.execute("ANALYZE trading_order")


# ── the whole world ──────────────────────────────────────────────────────────
@transaction.atomic
def world_make(now: datetime) -> dict[str, dict[str, int]]:
    """Everybody of PEOPLE, all or nobody; {user: {state: order id}}."""
    desk = person_make("desk", now).user
    support_grant(user=desk, actor=None, reason="the world of states", now=now)
    person_make("empty", now)
    cash_move(person_make("broke", now), -settings.PAPER_OPENING_CASH, now)
    made = {"mixed": mixed_make(now), "extremes": extremes_make(now)}
    made["frozen"] = frozen_make(desk, now)
    made["connected"] = connected_make(now)
    made["wealthy"] = wealthy_make(now)
    instrument_halt(symbol=HALTED, actor=desk, reason="News is pending.", now=now)
    made["full"] = full_make(now)
    # A thousand words to browsers that nobody has open yet.
    connection.run_on_commit.clear()
    return made


def session_open(user: User) -> str:
    """The cookie of a fresh session of a user, as the log-in page would have set it."""
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "accounts.backends.NameOrEmailBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session_confirm(session, user)
    session.create()
    return str(session.session_key)


def _lists(user: User) -> dict[str, int]:
    chosen = watchlist_default(user)
    return {"watchlist": chosen.pk} if chosen else {}


def world() -> dict[str, dict[str, Any]]:
    """The world with a session for everybody; made at the first call, kept in the data folder."""
    kept = settings.DATA_DIR / "states.json"
    if not kept.exists():
        kept.write_text(json.dumps(world_make(timezone.now())))
    orders = json.loads(kept.read_text())
    return {
        name: {
            "password": PASSWORD,
            "session": session_open(user),
            "orders": orders.get(name, {}) | _lists(user),
        }
        for name, user in User.objects.in_bulk(list(PEOPLE), field_name="username").items()
    }


if __name__ == "__main__":
    json.dump(world(), sys.stdout)
