"""The unmodified client of alpaca-py, made safe: bounded in time, no retries, exact numbers.

The package has no timeouts, sends an order up to four times after a 504, and raises its own
validation errors after the order is live. So its session is ours, its retries are off and its
replies are read by us. A read that fails raises in the words of the broker interface.
"""

import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    NameResolutionError,
    NewConnectionError,
    SSLError,
)

from accounts.keys import BrokerKey
from trading.brokers.alpaca import errors, parse
from trading.brokers.base import AuthFailed, BrokerError, Budget, NotSent, OutcomeUnknown

LIVE_HOST, PAPER_HOST = "api.alpaca.markets", "paper-api.alpaca.markets"
INTERNALS = ("_session", "_retry", "_retry_codes")  # of alpaca-py: we set two of them
CHUNK = 65536
REPLY_MAX = 20 * 1024 * 1024  # bytes; a list of 500 orders is 1 MB


class Missing(Exception):
    """Alpaca says that there is no such thing."""


class TlsConnection(HTTPSConnection):
    """One whose handshake fails as an address does that nobody answers at: nothing was sent.

    A request is written once `connect` is over, and TLS without early data carries none of it
    before. The same error later, while a reply is read, stays what it is.
    """

    def connect(self) -> None:
        try:
            super().connect()
        except (OSError, SSLError) as error:
            raise NewConnectionError(self, f"No TLS: {error}") from error


class TlsPool(HTTPSConnectionPool):
    ConnectionCls = TlsConnection


class TlsAdapter(HTTPAdapter):
    """That of requests, with such connections."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        pools = self.poolmanager.pool_classes_by_scheme
        self.poolmanager.pool_classes_by_scheme = {**pools, "https": TlsPool}


class ExactSession(requests.Session):
    """Each request with a timeout and a deadline, each reply with exact numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.mount("https://", TlsAdapter())
        self._seen = threading.local()

    @property
    def headers_seen(self) -> Mapping[str, str]:
        """Those of the last reply that this thread got; none where there was no reply."""
        found: Mapping[str, str] = getattr(self._seen, "headers", {})
        return found

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs.setdefault("timeout", settings.BROKER_TIMEOUT)
        kwargs["stream"] = True
        self._seen.headers = {}
        deadline = time.monotonic() + sum(settings.BROKER_TIMEOUT) + settings.BROKER_TIMEOUT[1]
        reply = super().request(*args, **kwargs)
        with reply:
            self._seen.headers = reply.headers
            _read_whole(reply, deadline)
        if 300 <= reply.status_code < 400:
            # Not followed, and to alpaca-py it would look like a success.
            raise OutcomeUnknown(f"Alpaca answered {reply.status_code}")
        # alpaca-py calls it, and the one of requests makes floats of numbers.
        vars(reply)["json"] = lambda **_: parse.loads(reply.text)
        return reply


def _read_whole(reply: requests.Response, deadline: float) -> None:
    """Read the body within a deadline: a timeout alone lets a drop every nine seconds through."""
    content = bytearray()
    while chunk := reply.raw.read1(CHUNK, decode_content=True):
        content += chunk
        if time.monotonic() > deadline or len(content) > REPLY_MAX:
            raise OutcomeUnknown("Alpaca's answer does not end")
    reply._content, reply._content_consumed = bytes(content), True  # so the connection is kept
    reply.encoding = "utf-8"
    expected = reply.headers.get("Content-Length", "")
    if (
        expected.isdigit()
        and not reply.headers.get("Content-Encoding")
        and len(content) < int(expected)
        and reply.request.method != "HEAD"
    ):
        raise OutcomeUnknown("Alpaca's answer broke off")


class AlpacaClient:
    """The door to one account; threads may share it."""

    def __init__(self, key: BrokerKey, mode: str) -> None:
        self._client = trading_client(key, address(mode))
        self._session: ExactSession = self._client._session

    @property
    def budget(self) -> Budget:
        return errors.budget(self._session.headers_seen)

    def send_order(self, body: Mapping[str, Any]) -> Any:
        """POST an order, once; the reply as it is. Raises every error of a submit."""
        try:
            return self._client.post("/orders", dict(body))
        except APIError as error:
            raise errors.of_submit(
                error.status_code, str(error), self._session.headers_seen
            ) from error
        except Exception as error:
            raise failed(error) from error

    def read(self, path: str, **query: str) -> Any:
        """GET; raises Missing for a definite 404, else the errors of a read."""
        try:
            return self._client.get(path, query)
        except APIError as error:
            raise self._refused(error) from error
        except Exception as error:
            raise failed(error) from error

    def delete(self, path: str) -> None:
        """DELETE; raises Missing, and Refused with the vendor's words for a 422."""
        try:
            self._client.delete(path)
        except APIError as error:
            if error.status_code == 422 and errors.body_of(str(error)) is not None:
                raise Refused(str(error)) from error
            raise self._refused(error) from error
        except Exception as error:
            raise failed(error) from error

    def _refused(self, error: APIError) -> Exception:
        if errors.is_miss(error.status_code, str(error)):
            return Missing(str(error))
        return errors.of_read(error.status_code, str(error), self._session.headers_seen)


class Refused(Exception):
    """Alpaca understood and said no."""


def address(mode: str) -> str:
    """The one address that an account of this mode may ever send orders to."""
    return _of_mode(mode, "ALPACA_TRADING_URL", "ALPACA_LIVE_TRADING_URL").rstrip("/")


def stream_address(mode: str) -> str:
    """The one that tells of its orders."""
    return _of_mode(mode, "ALPACA_STREAM_URL", "ALPACA_LIVE_STREAM_URL")


def _of_mode(mode: str, paper: str, live: str) -> str:
    """The setting of a mode, unless it names the host of the other."""
    name, forbidden = {"paper": (paper, LIVE_HOST), "live": (live, PAPER_HOST)}[mode]
    url: str = getattr(settings, name)
    if (urlsplit(url).hostname or "").lower() == forbidden:
        raise AuthFailed(f"{name} names {forbidden}, where a {mode} account must not go.")
    return url


def trading_client(key: BrokerKey, url: str) -> Any:
    """An alpaca-py client with its session replaced and its retries off."""
    try:
        client = TradingClient(key.api_key, key.secret_key, url_override=url, raw_data=True)
    except ValueError as error:
        raise AuthFailed("The key is empty: both of its parts are needed.") from error
    lacking = [name for name in INTERNALS if not hasattr(client, name)]
    if lacking:
        raise RuntimeError(f"alpaca-py has changed: it has no {', '.join(lacking)}")
    client._session, client._retry = ExactSession(), 0
    return client


def failed(error: Exception) -> BrokerError:
    """No reply, or none that can be read: proof that nothing was sent, or no word at all."""
    if isinstance(error, BrokerError):
        return error
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", None)
    unsent = (NewConnectionError, NameResolutionError, ConnectTimeoutError)
    if isinstance(error, requests.exceptions.ConnectTimeout) or isinstance(reason, unsent):
        return NotSent("Alpaca cannot be reached.")
    return OutcomeUnknown(f"Alpaca gave no answer that can be read ({type(error).__name__}).")
