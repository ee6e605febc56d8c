"""The API call for what a page shows, as a line for a shell: one table, page -> calls."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

KEY = "$SPEEDTRADE_KEY"  # a key of the settings, in the environment of whoever runs the line
API = "/api/v1/"
VALUE_MAX = 60  # characters of a page's own query that are repeated


@dataclass(frozen=True, slots=True)
class Call:
    """One call: `path` below /api/v1/ with `{names}` of the page's address.

    `asks` is the query with what it is where the page's own query says nothing; `account` adds the
    account that the page shows; `body` is what is posted, as JSON text.
    """

    words: str
    path: str
    method: str = "GET"
    asks: Mapping[str, str] = field(default_factory=dict)
    account: bool = False
    body: str = ""


_ORDER = (
    '{"symbol":"%s","asset_type":"%s","side":"buy",'
    '"order_type":"limit","limit_price":"1","qty":"1"}'
)
_PLACE = Call("Place an order", "orders", "POST", body=_ORDER)
CALLS: Mapping[str, tuple[Call, ...]] = {
    "portfolio:dashboard": (
        Call("What the account is worth", "portfolio", account=True),
        Call("What it holds", "portfolio/positions", account=True),
    ),
    "portfolio:portfolio": (
        Call("What the account holds", "portfolio/positions", account=True),
        Call("How it did", "portfolio/history", asks={"period": "1M"}, account=True),
    ),
    "portfolio:activity": (Call("The newest entries", "portfolio/activity", account=True),),
    "portfolio:transfers": (
        Call(
            "Put in paper cash",
            "portfolio/transfers",
            "POST",
            body='{"direction":"deposit","amount":"100"}',
        ),
    ),
    "trading:orders": (
        Call("These orders", "orders", asks={"status": "open", "symbol": ""}, account=True),
    ),
    "trading:order": (
        Call("This order", "orders/{order_id}"),
        Call("Cancel it", "orders/{order_id}", "DELETE"),
    ),
    "trading:ticket": (_PLACE,),
    "marketdata:markets": (Call("What moves", "market/movers", asks={"direction": "gainers"}),),
    "marketdata:symbol": (
        Call("The quote", "market/quotes/{symbol}"),
        Call("Daily bars", "market/bars/{symbol}", asks={"timeframe": "1D"}),
        _PLACE,
    ),
    "marketdata:search": (Call("This search", "market/search", asks={"q": "apple"}),),
    "marketdata:alerts": (Call("Your alerts", "alerts"),),
    "accounts:brokers": (Call("Your accounts", "accounts"),),
    "accounts:broker": (Call("This account", "accounts/{account_id}"),),
}
#: value of a page's query -> the API's word for it
_WORDS = {"filled": "closed"}


@dataclass(frozen=True, slots=True)
class Line:
    """What to do, and the line that does it."""

    words: str
    text: str


def curls_for(
    page: str,
    *,
    origin: str,
    names: Mapping[str, object],
    asked: Mapping[str, str],
    account_id: int | None,
) -> list[Line]:
    """The lines for a page by its url name; `names` and `asked` are of its address and query."""
    return [
        Line(call.words, _curl(call, origin, names, asked, account_id))
        for call in CALLS.get(page, ())
    ]


def call_path(
    call: Call, names: Mapping[str, object], asked: Mapping[str, str], account_id: int | None
) -> str:
    """Path and query of a call."""
    path = call.path.format_map({name: quote(str(value)) for name, value in names.items()})
    query = {
        name: _WORDS.get(value, value)
        for name, usual in call.asks.items()
        if (value := asked.get(name, usual)[:VALUE_MAX])
    }
    if call.account and account_id is not None:
        query["account_id"] = str(account_id)
    return f"{API}{path}?{urlencode(query)}" if query else f"{API}{path}"


def call_body(call: Call, names: Mapping[str, object]) -> str:
    """What is posted, for the symbol of the page where it is about one."""
    if "%s" not in call.body:
        return call.body
    symbol = str(names["symbol"])
    return call.body % (symbol, "crypto" if "-" in symbol else "stock")


def _curl(
    call: Call,
    origin: str,
    names: Mapping[str, object],
    asked: Mapping[str, str],
    account_id: int | None,
) -> str:
    parts = ["curl" if call.method == "GET" else f"curl -X {call.method}"]
    parts.append(f'-H "Authorization: Bearer {KEY}"')
    if call.body:
        parts.append("-H 'Content-Type: application/json'")
        parts.append('-H "Idempotency-Key: $(uuidgen)"')
        parts.append(f"-d {shlex.quote(call_body(call, names))}")
    # Quoted for the shell: a search holds whatever somebody typed.
    parts.append(shlex.quote(f"{origin}{call_path(call, names, asked, account_id)}"))
    return " \\\n  ".join(parts)
