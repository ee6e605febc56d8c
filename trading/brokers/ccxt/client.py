"""The unmodified ccxt class of an exchange, made safe: where it may call, how long, and who else.

One call is one request where it matters (an order), under the lease of the key, with the venue's
reply kept to judge by. Addresses are fixed at the door: a paper account has no live one to reach.
"""

import json
import logging
import math
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import ccxt
import requests
from django.conf import settings
from django.utils import timezone

from accounts.keys import BrokerKey
from trading.brokers.base import (
    AuthFailed,
    Budget,
    NotSent,
    OutcomeUnknown,
    RateLimited,
)
from trading.brokers.ccxt.errors import Answer, ClockOff, broker_error, said
from trading.brokers.ccxt.lease import LeaseBusy, TooFast, Turn, key_digest, key_turn, pace, room
from trading.brokers.ccxt.venues import VENUES, Venue

logger = logging.getLogger(__name__)
# At DEBUG ccxt writes requests with their signatures into the log.
logging.getLogger("ccxt").setLevel(logging.WARNING)
#: What changes with every call and says nothing of the order.
_UNSAID = frozenset({"nonce", "signature", "timestamp", "recvWindow"})
LIVE, PAPER = "live", "paper"
CHUNK = 65536
REPLY_MAX = 20 * 1024 * 1024  # bytes; the markets of a large exchange are 10 MB


class Forbidden(Exception):
    """An address that this account may not reach: nothing was sent."""


class Unreadable(Exception):
    """A reply that does not end, or ends too early: whatever was asked may have been done."""


class GuardedSession(requests.Session):
    """HTTP with time limits, no redirects, and a list of the places that it may talk to."""

    def __init__(self, places: frozenset[str]) -> None:
        super().__init__()
        self.trust_env = False
        self.places = places
        self.sent = 0
        self.status = 0

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """Send, unless it is forbidden."""
        if place_of(url) not in self.places:
            raise Forbidden(place_of(url))
        kwargs |= {"timeout": settings.BROKER_TIMEOUT, "allow_redirects": False, "stream": True}
        self.sent += 1
        self.status = 0
        deadline = time.monotonic() + sum(settings.BROKER_TIMEOUT) + settings.BROKER_TIMEOUT[1]
        reply = super().request(method, url, *args, **kwargs)
        with reply:
            _read_whole(reply, deadline)
        self.status = reply.status_code
        return reply


def _read_whole(reply: requests.Response, deadline: float) -> None:
    """Read the body within a deadline: a timeout alone lets a byte every nine seconds through."""
    content = bytearray()
    while chunk := reply.raw.read1(CHUNK, decode_content=True):
        content += chunk
        if time.monotonic() > deadline or len(content) > REPLY_MAX:
            raise Unreadable("the answer does not end")
    length = reply.headers.get("Content-Length", "")
    plain = not reply.headers.get("Content-Encoding")
    if plain and length.isdigit() and len(content) < int(length):
        raise Unreadable("the answer broke off")
    reply._content, reply._content_consumed = bytes(content), True


def place_of(url: str) -> str:
    """Scheme, host and port: what an address must share with an allowed one."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def places_of(api: Any) -> frozenset[str]:
    """Every place in a value of urls["api"]."""
    if isinstance(api, str):
        return frozenset({place_of(api)})
    values = api.values() if isinstance(api, Mapping) else ()
    return frozenset().union(*(places_of(value) for value in values))


def addresses(venue: Venue, mode: str) -> Any:
    """The value of urls["api"] for this mode; raises AuthFailed where a paper account has none."""
    urls = getattr(ccxt, venue.id)().urls
    moved = settings.CCXT_URLS.get(venue.id)
    if mode == LIVE:
        return moved or urls["api"]
    chosen = moved or (urls.get("test") if venue.sandbox else None)
    if chosen is None:
        raise AuthFailed(f"{venue.name} has no paper market of its own: connect it as live.")
    if places_of(chosen) & places_of(urls["api"]):
        raise AuthFailed(f"This is the live address of {venue.name}; a paper account has none.")
    return chosen


@dataclass
class _Markets:
    """The markets of one venue at one address, shared by all accounts of a process.

    `loaded` and `failed`: when they were read last, and when that went wrong, by `time.monotonic`.
    """

    source: Any = None
    loaded: float = -math.inf
    failed: float = -math.inf
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fresh(self) -> bool:
        """Whether nobody has to read them: they are new, or reading them has just gone wrong."""
        now = time.monotonic()
        age, retry = settings.CCXT_MARKETS_AGE, settings.CCXT_MARKETS_RETRY
        new = now - self.loaded < age.total_seconds()
        return self.source is not None and (new or now - self.failed < retry.total_seconds())


_shared: dict[tuple[str, str], _Markets] = {}


class _Mine(threading.local):
    """What one thread has of a client: an object of ccxt, whose markets it knows, and its reply."""

    exchange: Any = None
    source: Any = None
    reply: Any = None


@dataclass
class Client:
    """One key at one exchange. Threads may share it, each with an object of ccxt of its own:

    that object keeps the last request and the last reply, and none may be taken for another's.
    """

    venue: Venue
    mode: str
    key: BrokerKey
    budget: Budget = field(default_factory=Budget)
    _nonce: int = 0  # the last one of any thread; read and written by the holder of the key
    _api: Any = None
    _mine: _Mine = field(default_factory=_Mine, repr=False)

    @classmethod
    def of(cls, exchange: str, mode: str, key: BrokerKey) -> "Client":
        """Raises KeyError for an exchange that is not on the list, or a mode that is none."""
        if mode not in {LIVE, PAPER}:
            raise KeyError(mode)
        return cls(VENUES[exchange], mode, key)

    @property
    def exchange(self) -> Any:
        """The ccxt object of this thread, with the markets of now; raises BrokerError."""
        if self._api is None:
            self._api = addresses(self.venue, self.mode)
        mine = self._mine
        if mine.exchange is None:
            mine.exchange = _made(self.venue, self._api, self.key)
        source = markets_source(self.venue, self._api)
        if mine.source is not source:
            mine.exchange.set_markets_from_exchange(source)
            mine.exchange.options["timeDifference"] = source.options.get("timeDifference", 0)
            mine.source = source
        return mine.exchange

    @property
    def reply(self) -> Any:
        """The venue's last body to this thread, parsed with exact numbers."""
        return self._mine.reply

    @staticmethod
    def order_deadline() -> float:
        """Until when an order whose sending begins now may leave, for `call`."""
        return time.monotonic() + float(settings.CCXT_LEASE_WAIT.total_seconds())

    def market(self, symbol: str) -> dict[str, Any] | None:
        """The spot market of a symbol, as ccxt describes it."""
        found: dict[str, Any] | None = self.exchange.markets.get(symbol)
        return found if found and found.get("spot") else None

    def call(self, method: str, *args: Any, submit_by: float | None = None, **kwargs: Any) -> Any:
        """A private call, under the lease of the key. Raises BrokerError, and nothing else.

        `submit_by`: it is an order, and leaves until then or not at all: who looks for it without
        finding it counts from its claim, and must never call lost what is still to leave.
        """
        submit = submit_by is not None
        deadline = self.order_deadline() if submit_by is None else submit_by
        exchange = self.exchange
        weight = self.venue.weights.get(method, 1.0)
        while True:
            try:
                with key_turn(key_digest(self.venue.id, self.key.api_key)) as turn:
                    if submit and time.monotonic() > deadline:
                        raise LeaseBusy("its turn came too late")
                    pace(self.venue, turn, weight)
                    left, empty = room(self.venue, turn)
                    self.budget = Budget(left, empty)
                    return self._do(exchange, turn, method, args, kwargs, submit=submit)
            except TooFast as error:
                # Not while holding the key: orders and cancels go in between.
                if time.monotonic() + error.seconds > deadline:
                    at = timezone.now() + timedelta(seconds=error.seconds)
                    raise RateLimited(f"{self.venue.name} takes no more now.", at) from error
                time.sleep(error.seconds)
            except LeaseBusy as error:
                raise (NotSent if submit else OutcomeUnknown)(str(error)) from error

    def public(self, method: str, *args: Any) -> Any:
        """A public call: no key, no turn. Raises BrokerError."""
        return self._do(self.exchange, None, method, args, {}, submit=False)

    def _do(
        self,
        exchange: Any,
        turn: Turn | None,
        method: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        submit: bool,
    ) -> Any:
        session = exchange.session
        # A time-out would leave the reply of the call before it here.
        exchange.last_http_response, session.status, before = None, 0, session.sent
        if turn is not None and self.venue.own_nonce:
            exchange.options["lastNonce"] = max(turn.nonce, self._nonce)
        try:
            result = getattr(exchange, method)(*args, **kwargs)
        except Exception as error:
            answer = Answer(session.sent > before, exchange.last_http_response, session.status)
            failure = broker_error(self.venue, error, answer, submit=submit, now=timezone.now())
            if isinstance(failure, ClockOff):
                markets_outdate(self._mine.source)  # it measures at loading
            raise failure from None  # its text and its request carry what nobody may read
        finally:
            if turn is not None and self.venue.own_nonce:
                turn.nonce = self._nonce = exchange.options["lastNonce"]
        self._mine.reply = exact_json(exchange.last_http_response)
        if self.reply is None or said(self.venue, exchange.last_http_response):
            raise OutcomeUnknown(f"{self.venue.name} gave an answer that cannot be read.")
        return result

    def sent_body(self) -> dict[str, str]:
        """The last request of this thread as it left, without what signs and dates it."""
        exchange = self._mine.exchange
        body = exchange.last_request_body or urlsplit(exchange.last_request_url).query
        try:
            fields = dict(_flat(json.loads(body)))
        except ValueError:
            fields = dict(parse_qsl(body))
        return {name: value for name, value in fields.items() if name not in _UNSAID}


def _flat(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, one in value.items():
        if isinstance(one, Mapping):
            yield from ((f"{name}.{inner}", text) for inner, text in _flat(one))
        else:
            yield name, str(one)


def exact_json(text: str | None) -> Any:
    """A reply that is an object or a list; None for anything else."""
    try:
        body = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, (dict, list)) else None


def _made(venue: Venue, api: Any, key: BrokerKey | None = None) -> Any:
    """A ccxt object at these addresses and no others. Its own throttle is off: it sleeps, and

    knows of no other process; `lease.pace` counts for all of them.
    """
    config: dict[str, Any] = {
        "enableRateLimit": False,
        "timeout": int(settings.BROKER_TIMEOUT[1] * 1000),
        "options": dict(venue.options),
        "session": GuardedSession(places_of(api)),
    }
    if key is not None:
        config |= {"apiKey": key.api_key, "secret": key.secret_key}
        if key.passphrase:
            config["password"] = key.passphrase
    made = getattr(ccxt, venue.id)(config)
    made.urls["api"] = api
    return made


def _name(venue: Venue, api: Any) -> tuple[str, str]:
    return venue.id, json.dumps(api, sort_keys=True)


def markets_source(venue: Venue, api: Any) -> Any:
    """The ccxt object whose markets all accounts share; loaded hourly. Raises NotSent.

    While one thread reads a new list the others go on with the old one, and so do all where the
    new one cannot be read.
    """
    known = _shared.setdefault(_name(venue, api), _Markets())
    if known.fresh():
        return known.source
    if not known.lock.acquire(blocking=known.source is None):
        return known.source
    try:
        if not known.fresh():
            _load(known, venue, api)
        return known.source
    finally:
        known.lock.release()


def _load(known: _Markets, venue: Venue, api: Any) -> None:
    source = _made(venue, api)
    try:
        source.load_markets()
        if not source.markets:
            raise ValueError("no markets")
    except Exception as error:
        if known.source is None:
            text = f"The list of markets of {venue.name} could not be read."
            raise NotSent(text) from error
        known.failed = time.monotonic()
        logger.warning("markets_stale", extra={"exchange": venue.id})
        return
    known.source, known.loaded = source, time.monotonic()


def markets_outdate(source: Any) -> None:
    """Load the markets anew that were taken from `source`, unless somebody has done so already."""
    for known in list(_shared.values()):
        if known.source is source:
            known.loaded = known.failed = -math.inf


def markets_forget() -> None:
    """Load the markets anew at the next call."""
    _shared.clear()
