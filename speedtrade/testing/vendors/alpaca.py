"""An Alpaca-like vendor on the loopback: REST and trade updates, with its own truth and faults.

    with AlpacaVendor() as vendor:
        account = vendor.open_account("PKALICE", "secret")
        settings.ALPACA_TRADING_URL = vendor.url

It is written from the vendor's documents and checks every reply against them when it is sent:
`drift` must be empty at the end. Nothing here knows our adapter.
"""

import socket
import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from http.server import ThreadingHTTPServer
from typing import Any, Self

from speedtrade.testing.vendors.alpaca_book import (
    Refused,
    VendorAccount,
    VendorOrder,
    utc_now,
)
from speedtrade.testing.vendors.alpaca_http import Handler
from speedtrade.testing.vendors.alpaca_stream import UpdateServer
from speedtrade.testing.vendors.faults import FaultScript


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news: faults make them do so."""


class AlpacaVendor:
    """The vendor as a whole; enter it to start its servers."""

    def __init__(self, port: int = 0, stream_port: int = 0) -> None:
        self.accounts: dict[str, VendorAccount] = {}
        self.faults = FaultScript()
        self.calls: list[tuple[str, str, str, bytes]] = []  # (name, method, path, body)
        self.drift: list[str] = []
        self.checked = True  # every reply against the vendor's documents, which takes a while
        self.sockets: set[socket.socket] = set()
        self.clock_offset = timedelta(0)
        self.is_open = True
        self.tells_limits = True
        self.per_minute = 200
        self.enforces_limit = False
        self.hides_for = timedelta(0)  # so long nobody can see an order that was accepted
        self.cancels_at_once = True  # else an order stays in pending_cancel until told
        self._minutes: Counter[tuple[str, int]] = Counter()
        self._port = port
        self.stream = UpdateServer(self, stream_port)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        handler = type("VendorHandler", (Handler,), {"vendor": self})
        self.faults.released.clear()
        self._server = _Server(("127.0.0.1", self._port), handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.stream.start()

    def stop(self) -> None:
        """Down, with all connections: from now on connecting is refused. It may start again."""
        self.faults.released.set()
        self._server.shutdown()
        self._server.server_close()
        for one in list(self.sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self.stream.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def stream_url(self) -> str:
        return self.stream.url

    def now(self) -> datetime:
        return utc_now() + self.clock_offset

    def open_account(
        self, key_id: str = "PKTEST", secret: str = "secret", cash: str = "100000"
    ) -> VendorAccount:
        account = VendorAccount(key_id, secret, Decimal(cash), self.now)
        account.listeners.append(
            lambda event, order, fill: self.stream.tell(account, event, order, fill)
        )
        self.accounts[key_id] = account
        return account

    def account_of(self, key_id: str | None, secret: str | None) -> VendorAccount:
        account = self.accounts.get(key_id or "")
        if account is None or account.secret != secret:
            raise Refused(401, 40110000, "unauthorized.")
        return account

    def count_call(self, account: VendorAccount) -> None:
        """Count against the account's minute; refused when it is used up and that is enforced."""
        minute = (account.key_id, int(time.time() // 60))
        self._minutes[minute] += 1
        self._last = minute
        if self.enforces_limit and self._minutes[minute] > self.per_minute:
            raise Refused(429, 42910000, "rate limit exceeded")

    def busiest(self) -> int:
        """The most requests that any account made in any one minute."""
        return max(self._minutes.values(), default=0)

    def forget(self) -> None:
        """Begin to count anew."""
        self._minutes.clear()
        self.calls[:] = []

    def remaining(self) -> int:
        last = getattr(self, "_last", ("", 0))
        return max(self.per_minute - self._minutes[last], 0)

    def called(self, name: str) -> int:
        """How many requests of this name came in."""
        return sum(1 for one in self.calls if one[0] == name)

    def shows(self, order: VendorOrder) -> bool:
        """Whether look-ups and lists have the order yet."""
        return self.now() - order.created_at >= self.hides_for

    def on_accept(self, account: VendorAccount, order: VendorOrder) -> None:
        """An order came in; a market maker may want to know."""

    def on_cancel(self, account: VendorAccount, order: VendorOrder) -> None:
        """A cancel came in: 204 says only that it is taken."""
        if self.cancels_at_once:
            account.cancel(order)
        else:
            account.set_status(order, "pending_cancel")
