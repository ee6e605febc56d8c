"""What is special about each exchange, as data: a new one is a row here and the tests it needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from trading.brokers.base import Capabilities
from trading.brokers.capabilities import EXCHANGES
from trading.domain.orders import OrderState

S = OrderState
FIAT = frozenset({"USD", "EUR", "GBP", "CAD", "AUD", "JPY", "CHF", "NZD", "BRL", "MXN"})


@dataclass(frozen=True, slots=True)
class Venue:
    """One exchange.

    `cid_param`: what ccxt's create_order takes for the client order id. `cid_text`: texts that the
    venue takes as they are; `cid_dashes`: our hex ids go as a UUID with dashes. `burst` and
    `per_second`: how many private reads it allows at once and in the long run; `weights` says which
    count more (orders and cancels have counters of their own). `states`: its words for ours.
    """

    id: str
    name: str
    currency: str  # of the account's cash
    cid_param: str
    cid_text: str
    cid_dashes: bool
    sandbox: bool
    burst: float
    per_second: float
    states: Mapping[str, OrderState]
    info_status: str
    info_qty: str
    info_filled: str
    info_average: str
    weights: Mapping[str, float] = field(default_factory=dict)
    order_params: Mapping[str, str] = field(default_factory=dict)  # with every order
    options: Mapping[str, object] = field(default_factory=dict)  # of the ccxt class
    market_as_ioc: bool = False  # it spends money on a market buy: we ask for a quantity
    own_nonce: bool = False  # each key counts its calls

    @property
    def caps(self) -> Capabilities:
        return EXCHANGES[self.id]


KRAKEN = Venue(
    id="kraken",
    name="Kraken",
    currency="USD",
    cid_param="clientOrderId",
    cid_text=r"[A-Za-z0-9_.:-]{1,18}",
    cid_dashes=True,
    sandbox=False,
    burst=15,
    per_second=0.33,
    weights={"fetch_my_trades": 2, "fetch_ledger": 2, "create_order": 0, "cancel_order": 0},
    states={
        "pending": S.ACCEPTED,
        "open": S.NEW,
        "closed": S.FILLED,
        "canceled": S.CANCELED,
        "expired": S.EXPIRED,
    },
    info_status="status",
    info_qty="vol",
    info_filled="vol_exec",
    info_average="price",
    order_params={"oflags": "fciq"},  # fees in the quote currency, also of a sale
    own_nonce=True,
)

COINBASE = Venue(
    id="coinbase",
    name="Coinbase",
    currency="USD",
    cid_param="client_order_id",  # ccxt drops clientOrderId and makes an id of its own
    cid_text=r"[A-Za-z0-9_.:-]{1,36}",
    cid_dashes=True,
    sandbox=False,
    burst=30,
    per_second=30,
    states={
        "PENDING": S.ACCEPTED,
        "QUEUED": S.ACCEPTED,
        "OPEN": S.NEW,
        "CANCEL_QUEUED": S.PENDING_CANCEL,
        "FILLED": S.FILLED,
        "CANCELLED": S.CANCELED,
        "EXPIRED": S.EXPIRED,
        "FAILED": S.REJECTED,
    },
    info_status="status",
    info_qty="",
    info_filled="filled_size",
    info_average="average_filled_price",
    options={"adjustForTimeDifference": True},
    market_as_ioc=True,
)

BINANCE = Venue(
    id="binance",
    name="Binance",
    currency="USDT",
    cid_param="newClientOrderId",
    cid_text=r"[A-Za-z0-9_.:/-]{1,36}",
    cid_dashes=False,
    sandbox=True,
    burst=200,
    per_second=20,
    states={
        "PENDING_NEW": S.ACCEPTED,
        "NEW": S.NEW,
        "PARTIALLY_FILLED": S.PARTIALLY_FILLED,
        "PENDING_CANCEL": S.PENDING_CANCEL,
        "FILLED": S.FILLED,
        "CANCELED": S.CANCELED,
        "REJECTED": S.REJECTED,
        "EXPIRED": S.EXPIRED,
        "EXPIRED_IN_MATCH": S.EXPIRED,
    },
    info_status="status",
    info_qty="origQty",
    info_filled="executedQty",
    info_average="",
    options={
        "adjustForTimeDifference": True,
        "defaultType": "spot",
        "fetchMarkets": {"types": ["spot"]},
        "warnOnFetchOpenOrdersWithoutSymbol": False,
    },
)

VENUES = {venue.id: venue for venue in (KRAKEN, COINBASE, BINANCE)}
