"""Pages of ours in a real browser, against a socket of the test's own.

Files come from static/ on disk and the page from a template: no server, no waiting for a market.
"""

import json
import mimetypes
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles import finders
from django.template import Context, Template
from playwright.sync_api import Page, Route, WebSocketRoute

from marketdata.domain.ranges import RANGES

ORIGIN = "http://speedtrade.test"
POLICY = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]
CSP = "; ".join(f"{name} {' '.join(values)}" for name, values in POLICY.items())
BODY = """{% load static %}<!doctype html><html lang="en" data-theme="system"><head>
<title>Live</title><link rel="stylesheet" href="{% static 'css/components.css' %}">
<script type="module" src="{% static 'js/quotes.js' %}"></script>
<script type="module" src="{% static 'js/ui.js' %}"></script></head><body>
<div id="connection" hidden><span data-text></span><button data-retry>Retry</button></div>
<ol id="toasts"></ol><span id="live-dot"></span>
<p id="row" data-row>{% live "AAPL" "100.00" tick="0.01" %}
{% change "1.00" "1.00" symbol="AAPL" tick="0.01" %}
{% live "AAPL" "500.00" field="value" qty="5" %}
{% change "10.00" "2.00" symbol="AAPL" field="pl" qty="5" cost="490.00" %}</p>
<p>{% live_money "cash_balance" "10.00" %}{% change "0" "0" field="day_pl" %}</p>
<p id="loose">{% live "AAPL" "99.90" field="bid" tick="0.01" %}</p>
</body></html>"""
CHART = """{% load static %}<!doctype html><html lang="en" data-theme="dark"><head>
<title>Chart</title><link rel="stylesheet" href="{% static 'css/tokens.css' %}">
<link rel="stylesheet" href="{% static 'css/components.css' %}">
<link rel="stylesheet" href="{% static 'css/pages.css' %}">
<script defer src="{% static 'vendor/lightweight-charts/lightweight-charts.js' %}"></script>
<script type="module" src="{% static 'js/quotes.js' %}"></script>
<script type="module" src="{% static 'js/chart.js' %}"></script></head><body>
<p>{% live "AAPL" "107.00" tick="0.01" hero=True %}<span data-hero-when="Today">Today</span></p>
{% include "components/_price_chart.html" %}
<template id="panel-error">{% include "states/_panel_error.html" %}</template></body></html>"""
QUOTE = {
    "symbol": "AAPL",
    "bid": "101.49",
    "ask": "101.50",
    "last": "101.50",
    "change": "-0.50",
    "change_pct": "-0.4902",
    "as_of": "2026-01-05T15:00:00.000Z",
    "stale": False,
}

# Over the night in which New York turns its clocks back: 05:30 and 06:30 UTC are both 01:30 there.
STARTS = [datetime(2026, 11, 1, 0, 30, tzinfo=UTC) + timedelta(hours=n) for n in range(12)]
BARS = [
    {"t": t.isoformat(), "o": "100", "h": "108", "l": "99", "c": f"{100 + n}.00", "v": "1000"}
    for n, t in enumerate(STARTS)
]

# A quarter of an hour each until midnight of New York, which the axis of the times always names.
LONG = [
    {"t": (datetime(2026, 11, 20, 5, tzinfo=UTC) - timedelta(minutes=15 * n)).isoformat()}
    | {"o": "100", "h": "108", "l": "99", "c": "107.00", "v": "1000"}
    for n in reversed(range(400))
]
MARKS = {
    "position": {"qty": "5", "avg_price": "107.00"},
    "fills": [{"t": LONG[-1]["t"], "side": "buy"}],
}


class Server:
    """Our end of the socket: what the browser said, and a way to answer or hang up.

    `pages` are templates by their path, with `context` for all of them; `asked` are the paths that
    nothing is there for, which get 204. A `deaf` server answers no ping, a `cut` one no connection.
    """

    def __init__(self) -> None:
        self.sockets: list[WebSocketRoute] = []
        self.heard: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.pages = {"/": BODY, "/chart": CHART, "/closed": CHART, "/held": CHART}
        self.context: dict[str, Any] = {}
        self.broken = self.deaf = self.cut = False

    def accept(self, socket: WebSocketRoute) -> None:
        if self.cut:
            socket.close(code=1011)
            return
        self.sockets.append(socket)
        socket.on_message(lambda text: self._hear(socket, json.loads(text)))

    def _hear(self, socket: WebSocketRoute, message: dict[str, Any]) -> None:
        self.heard.append(message)
        if message["action"] == "ping" and not self.deaf:
            socket.send(json.dumps({"type": "pong"}))

    def say(self, **message: Any) -> None:
        self.sockets[-1].send(json.dumps(message))

    def hang_up(self, code: int = 1006) -> None:
        self.sockets[-1].close(code=code if code != 1006 else 1011)

    def answer(self, route: Route) -> None:
        """A page, bars for its chart, or a file of static/."""
        path = route.request.url.removeprefix(ORIGIN)
        if path in self.pages:
            html = Template(self.pages[path]).render(Context(self._context(path)))
            headers = {"Content-Security-Policy": CSP}
            route.fulfill(body=html, content_type="text/html", headers=headers)
        elif path.startswith("/static/"):
            file = _static(path.removeprefix("/static/"))
            kind = mimetypes.guess_type(file.name)[0] or "text/plain"
            route.fulfill(body=file.read_bytes(), content_type=kind)
        else:
            self.asked.append(path)
            if "/bars?" in path:
                self._bars(route)
            else:
                route.fulfill(status=204)

    def _context(self, path: str) -> dict[str, Any]:
        return {
            "instrument": {"symbol": "AAPL", "price_tick": Decimal("0.01")},
            "summary": "It rose.",
            "ranges": RANGES.items(),
            "range": "1D",
            "closed_at": STARTS[-1] if path == "/closed" else None,
            "marks": MARKS if path == "/held" else None,
            "indicators": [("sma20", "SMA 20", False), ("rsi14", "RSI 14", False)],
        } | self.context

    def _bars(self, route: Route) -> None:
        answer: dict[str, Any] = {"timeframe": "1h", "bars": BARS}
        if "rsi14" in route.request.url:
            lines = {"value": [None, *["50.5"] * (len(BARS) - 1)]}
            answer["indicators"] = {"rsi14": lines}
        status, body = (503, "") if self.broken else (200, json.dumps(answer))
        headers = {"X-Request-Id": "abc-123", "Content-Type": "application/json"}
        route.fulfill(status=status, body=body, headers=headers)


def _static(name: str) -> Path:
    ours = Path(settings.BASE_DIR) / "static" / name
    return ours if ours.exists() else Path(str(finders.find(name)))


def served(page: Page) -> Server:
    """A server for all that `page` asks for from now on."""
    made = Server()
    page.route("**/*", made.answer)
    page.route_web_socket("**/ws", made.accept)
    return made


def heard(page: Page, server: Server, is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first message of the browser that `is_it`; it has five seconds to come."""
    for _ in range(100):
        found = [message for message in server.heard if is_it(message)]
        if found:
            return found[0]
        page.wait_for_timeout(50)  # lets Playwright deliver; there is no event to wait for
    raise AssertionError(server.heard)


def opened(page: Page, server: Server) -> None:
    page.goto(ORIGIN + "/")
    heard(
        page, server, lambda message: message["action"] == "subscribe" and message["symbols"] != []
    )
