"""An account at a broker whose every field is hostile, and what workers do with it."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any

import ccxt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.utils import timezone

from accounts.keys import BrokerKey
from accounts.models import BrokerageAccount, User
from speedtrade.testing.cast import ApiClient, page_client
from speedtrade.testing.sockets import HOSTILE, Doorman, doorman
from speedtrade.testing.vendors import binance, coinbase, kraken
from speedtrade.testing.vendors.alpaca import AlpacaVendor
from speedtrade.testing.vendors.binance import BinanceVendor
from speedtrade.testing.vendors.coinbase import CoinbaseVendor
from speedtrade.testing.vendors.kraken import KrakenVendor
from trading.services.keys import key_check_run
from trading.services.syncs import account_sync

#: What packages take for settings of theirs, and no field of ours is called.
# fmt: off
UNASKED = (
    "hostname", "host", "url", "api", "api_url", "base_url", "url_override", "endpoint", "rest",
    "domain", "server", "proxy", "proxies", "proxyUrl", "proxy_url", "httpProxy", "http_proxy",
    "httpsProxy", "https_proxy", "socksProxy", "socks_proxy", "wsProxy", "ws_proxy", "wssProxy",
    "wss_proxy", "wsSocksProxy", "aiohttp_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY",
    "stream_url", "data_url", "sandbox", "id", "session", "token", "oauth_token", "userAgent",
    "origin", "ALPACA_TRADING_URL",
)
# fmt: on
PEM = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    .decode()
)
RIGHT = {
    "alpaca": BrokerKey("PKRIGHT", "secret"),
    "kraken": BrokerKey(kraken.API_KEY, kraken.SECRET),
    "coinbase": BrokerKey(coinbase.API_KEY, coinbase.SECRET),
    "binance": BrokerKey(binance.API_KEY, binance.SECRET),
}


@dataclass(frozen=True)
class Market:
    """Where an account can be; `name` is the exchange or the broker."""

    name: str
    mode: str

    @property
    def wish(self) -> dict[str, Any]:
        """What the form and the API take for it, without the key."""
        exchange = {} if self.name == "alpaca" else {"exchange": self.name}
        kind = "ccxt" if exchange else "alpaca"
        return {"broker": kind, "mode": self.mode, "confirm_live": "live", **exchange}

    def addresses(self, settings: Any) -> list[str]:
        """The one place that settings, or the package where they are silent, have for it."""
        if self.name == "alpaca":
            live = "LIVE_" if self.mode == "live" else ""
            names = (f"ALPACA_{live}TRADING_URL", f"ALPACA_{live}STREAM_URL")
            return [getattr(settings, name) for name in names]
        urls = getattr(ccxt, self.name)().urls
        own = urls["api"] if self.mode == "live" else urls.get("test", {})
        return list(_texts(settings.CCXT_URLS.get(self.name) or own))


def _texts(api: Any) -> Iterator[str]:
    for value in [api] if isinstance(api, str) else api.values():
        if isinstance(value, str):
            yield value
        else:
            yield from _texts(value)


MARKETS = [
    Market("alpaca", "paper"),
    Market("alpaca", "live"),
    Market("kraken", "live"),
    Market("coinbase", "live"),
    Market("binance", "live"),
    Market("binance", "paper"),
]


@contextmanager
def at_vendor(wanted: Market, where: str, settings: Any) -> Iterator[Doorman]:
    """The vendor of a market on the loopback, or none and its own addresses, behind the doorman."""
    with ExitStack() as stack:
        settings.CCXT_URLS = {}
        if where == "loopback":
            _vendor_start(wanted.name, stack, settings)
        watch = doorman([*wanted.addresses(settings), settings.REDIS_URL])
        yield stack.enter_context(watch)


def _vendor_start(name: str, stack: ExitStack, settings: Any) -> None:
    if name == "alpaca":
        alpaca = stack.enter_context(AlpacaVendor())
        alpaca.open_account(RIGHT[name].api_key, RIGHT[name].secret_key)
        settings.ALPACA_TRADING_URL = settings.ALPACA_LIVE_TRADING_URL = alpaca.url
        settings.ALPACA_STREAM_URL = settings.ALPACA_LIVE_STREAM_URL = alpaca.stream_url
        return
    made: Any = {"kraken": KrakenVendor, "coinbase": CoinbaseVendor, "binance": BinanceVendor}[name]
    settings.CCXT_URLS = {name: stack.enter_context(made()).urls}


def unasked(text: str) -> dict[str, Any]:
    """Fields that nobody offers, all with this text, flat and as packages nest them."""
    flat = dict.fromkeys(UNASKED, text)
    api = {"public": text, "private": text, "rest": text, "ws": text}
    return {**flat, "urls": {"api": api, "test": api}, "options": flat, "headers": {"Host": text}}


def keys_of(text: str, right: BrokerKey) -> Iterator[BrokerKey]:
    """Keys that are this text, whole and in part, with a secret that packages read as PEM too."""
    yield BrokerKey(text, text, text)
    yield replace(right, passphrase=text)
    yield BrokerKey(f"organizations/{text}/apiKeys/{text}", PEM, text)


def body_of(key: BrokerKey) -> dict[str, str]:
    return {"api_key": key.api_key, "secret_key": key.secret_key, "passphrase": key.passphrase}


def lived_through(wanted: Market, user: User, texts: Sequence[str] = HOSTILE) -> int:
    """Connect with hostile fields, by API and page in turn; how often workers took one up."""
    doors, right = Doors(user), RIGHT[wanted.name]
    made = doors.script.post("accounts", {**wanted.wish, **body_of(right), **unasked(texts[0])})
    assert made.status_code == 201, made.content
    account = BrokerageAccount.objects.get(pk=made.json()["id"])
    worked(account)
    count = 1
    for text in texts:
        for key in keys_of(text, right):
            if doors.rekey(account, {**body_of(key), **unasked(text)}):
                worked(account)
                count += 1
        key = BrokerKey(text, text, text)
        doors.connect({**wanted.wish, **body_of(key), **unasked(text), "label": text})
    for other in user.brokerage_accounts.exclude(broker="paper").exclude(pk=account.pk):
        worked(other)
        count += 1
    return count


class Doors:
    """The API and the page of one user, in turn; a text makes eight calls, so its turns differ."""

    def __init__(self, user: User) -> None:
        self.script, self._browser = ApiClient(user=user), page_client(user)
        self._turn = cycle((False, True, False))

    def connect(self, fields: dict[str, Any]) -> None:
        """An account with these fields; then once more with each choice as hostile as its label."""
        self._send("POST", "accounts", "connect", fields)
        for name in ("broker", "exchange", "mode", "confirm_live"):
            other = {**fields, name: fields["label"]}
            assert self._send("POST", "accounts", "connect", other) == 422, name

    def rekey(self, account: BrokerageAccount, fields: dict[str, Any]) -> bool:
        """Whether the account has this key now."""
        status = self._send("PUT", f"accounts/{account.pk}/key", f"{account.pk}/key", fields)
        return status != 422

    def _send(self, method: str, path: str, page: str, fields: dict[str, Any]) -> int:
        if next(self._turn):
            flat = {name: value for name, value in fields.items() if isinstance(value, str)}
            answer: Any = self._browser.post(f"/settings/brokers/{page}", flat)
        else:
            answer = self.script(method, path, fields)
        assert answer.status_code in {200, 201, 303, 422}, answer.content
        return int(answer.status_code)


def worked(account: BrokerageAccount) -> None:
    """What workers do with an account: read it, and ask what its key may do."""
    account = BrokerageAccount.objects.get(pk=account.pk)
    account_sync(account_id=account.pk, now=timezone.now())
    key_check_run(account_id=account.pk, now=timezone.now())
