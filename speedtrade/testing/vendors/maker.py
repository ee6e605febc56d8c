"""A market maker for the loopback vendors: it trades with their orders at the simulated prices.

The simulated market is a function of its seed and the time, so a SpeedTrade with the same seed
shows the prices at which the vendors fill.
"""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal

from marketdata.domain.calendar import MarketHours
from marketdata.domain.quotes import Quote
from marketdata.feeds.simulated.market import SimulatedMarket
from marketdata.feeds.simulated.profiles import load_profiles
from speedtrade.testing.vendors import alpaca_wire as wire
from speedtrade.testing.vendors.alpaca import AlpacaVendor
from speedtrade.testing.vendors.alpaca_book import OPEN, VendorAccount, VendorOrder

MOMENT = timedelta(seconds=1)  # an order is seen to work before it fills
LARGE = Decimal(100)  # more than so many go in two parts
UNIT = Decimal("1e-9")


class Maker:
    """Call `step` every now and then; it looks at every open order once."""

    def __init__(self, vendor: AlpacaVendor, seed: str) -> None:
        self._vendor = vendor
        profiles = load_profiles()
        self.market = SimulatedMarket(seed, MarketHours("always"), profiles)
        for symbol, profile in profiles.items():
            kind = ("crypto", "CRYPTO") if profile.asset_type == "crypto" else ("us_equity", "NYSE")
            wire.ASSETS.setdefault(symbol, (*kind, True))

    def quote(self, symbol: str, now: datetime | None = None) -> Quote:
        return self.market.quote(symbol, now or datetime.now(UTC))

    def step(self, now: datetime | None = None) -> int:
        """How many fills it made."""
        now = now or datetime.now(UTC)
        made = 0
        for account in list(self._vendor.accounts.values()):
            with account.lock:
                for order in list(account.orders.values()):
                    if order.status in OPEN and now - order.created_at >= MOMENT:
                        made += self._meet(account, order, now)
        return made

    def _meet(self, account: VendorAccount, order: VendorOrder, now: datetime) -> bool:
        """Trade with one order where the price allows it."""
        quote = self.quote(order.symbol, now)
        price = quote.ask if order.side == "buy" else quote.bid
        limit = order.limit_price
        reached = limit is None or (limit >= price if order.side == "buy" else limit <= price)
        if not reached:
            if order.time_in_force in {"ioc", "fok"}:
                account.set_status(order, "canceled")
            return False
        if order.notional is not None:
            left = ((order.notional - order.value) / price).quantize(UNIT, ROUND_DOWN)
        else:
            left = (order.qty or Decimal(0)) - order.filled
        if left > LARGE and not order.fills and order.time_in_force != "fok":
            left = (left / 2).quantize(Decimal(1), ROUND_DOWN)
        if left > 0:
            account.fill(order, left, price)
        return left > 0
