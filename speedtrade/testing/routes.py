"""What every address answers, to everybody, by every method: the table of the doors.

`speedtrade/tests/test_routes.py` walks the URL resolver with it; a route that is not here fails.
To add one, write a line in ROUTES under its pattern (the test prints the pattern):

    "orders/<int:order_id>": [page("/orders/{order}", GET=mine(200))],

- `page` is for people (nobody is sent to the log-in), `api` for programs (nobody gets 401),
  `open_page` and `open_api` are for everybody.
- A status is what every logged-in user gets, `mine(status)` what the owner gets where it is 404 for
  all others, a tuple is (nobody, owner, stranger, staff).
- A method that is not named answers 405; HEAD is as GET; OPTIONS of the API is described by DRF.
- `{names}` in addresses and bodies are Alice's things, made by `world` in the test.
- One pattern may have several lines: with `?account_id={account}`, for instance.

Staff is Bob, who has no permissions: to pages and API he is a stranger like any other.

An API key of Alice's gets what she gets, but 403 for the methods in `shut`; one that may only read
gets 403 for every unsafe one, and one that is bound to another account of hers is a stranger.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")

Four = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Mine:
    """The owner's status; it is 404 for everybody else who is logged in."""

    status: int


@dataclass(frozen=True, slots=True)
class Case:
    """One address with all its answers."""

    address: str
    answers: Mapping[str, Four]
    bodies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    json: bool = False
    shut: tuple[str, ...] = ()  # to every API key

    def answer(self, method: str) -> Four:
        """(nobody, owner, stranger, staff) for this method."""
        return self.answers[method]


def mine(status: int) -> Mine:
    return Mine(status)


def _four(nobody: int, given: "int | Mine | Four") -> Four:
    if isinstance(given, tuple):
        return given
    if isinstance(given, Mine):
        return (nobody, given.status, 404, 404)
    return (given if nobody == 0 else nobody, given, given, given)


def _case(
    address: str,
    nobody: int,
    json: bool,
    bodies: Mapping[str, Any],
    given: Mapping[str, Any],
    shut: tuple[str, ...] = (),
) -> Case:
    answers = {method: _four(nobody, 405) for method in METHODS}
    if json:
        answers["OPTIONS"] = _four(nobody, 200)
    answers |= {method: _four(nobody, status) for method, status in given.items()}
    if "GET" in given and "HEAD" not in given:
        answers["HEAD"] = answers["GET"]
    return Case(address, answers, bodies, json, shut)


def page(address: str, bodies: Mapping[str, Any] | None = None, **statuses: Any) -> Case:
    """For people who are logged in; others are sent to the log-in."""
    return _case(address, 302, False, bodies or {}, statuses)


def open_page(address: str, bodies: Mapping[str, Any] | None = None, **statuses: Any) -> Case:
    """For everybody."""
    return _case(address, 0, False, bodies or {}, statuses)


def api(
    address: str,
    bodies: Mapping[str, Any] | None = None,
    *,
    shut: tuple[str, ...] = (),
    **statuses: Any,
) -> Case:
    """For programs with a token or a key; others get 401."""
    return _case(f"/api/v1/{address}", 401, True, bodies or {}, statuses, shut)


def open_api(address: str, bodies: Mapping[str, Any] | None = None, **statuses: Any) -> Case:
    """For every program."""
    return _case(f"/api/v1/{address}", 0, True, bodies or {}, statuses)


IN_ALREADY = (200, 302, 302, 302)  # who is logged in has no use for this page
ALPACA = {"broker": "alpaca", "mode": "paper", "api_key": "PK0ROUTES", "secret_key": "s" * 40}

ROUTES: dict[str, list[Case]] = {
    # ── pages that belong to no app ─────────────────────────────────────────
    "": [open_page("/", GET=IN_ALREADY)],
    "health": [open_page("/health", GET=200)],
    "health/live": [open_page("/health/live", GET=204)],
    "health/ready": [open_page("/health/ready", GET=204)],
    "metrics": [open_page("/metrics", GET=(404, 404, 404, 200))],
    "offline": [open_page("/offline", GET=200)],
    "sw.js": [open_page("/sw.js", GET=200)],
    "status": [open_page("/status", GET=200)],
    "styleguide": [page("/styleguide", GET=(302, 404, 404, 200))],
    "about/licences": [open_page("/about/licences", GET=200)],
    "learn": [open_page("/learn", GET=200)],
    "learn/terms": [open_page("/learn/terms", GET=200)],
    "learn/<slug:slug>": [
        open_page("/learn/order", GET=200),
        open_page("/learn/no-such-page", GET=404),
    ],
    "problems": [open_page("/problems", GET=200)],
    "problems/<slug:slug>": [
        open_page("/problems/not-found", GET=200),
        open_page("/problems/no-such-problem", GET=404),
    ],
    # ── accounts ────────────────────────────────────────────────────────────
    "login": [open_page("/login", GET=IN_ALREADY, POST=422)],
    "login/code": [open_page("/login/code", GET=302, POST=302)],
    "login/passkey": [open_page("/login/passkey", POST=404)],
    "login/forgotten": [open_page("/login/forgotten", GET=200, POST=422)],
    "login/reset": [open_page("/login/reset", GET=200, POST=422)],
    "login/reset/<str:token>": [open_page("/login/reset/no-link", GET=303)],
    "register": [open_page("/register", GET=IN_ALREADY, POST=422)],
    "register/check": [open_page("/register/check", POST=200)],
    "logout": [page("/logout", POST=302)],
    "settings": [page("/settings", GET=200)],
    "settings/profile": [
        page("/settings/profile", POST=422),
        page("/settings/profile", {"POST": {"email": "n@example.com"}}, POST=302),
    ],
    "settings/address": [page("/settings/address", POST=303)],
    "settings/address/<str:token>": [page("/settings/address/no-link", GET=200, POST=422)],
    "settings/limits": [
        page("/settings/limits", {"POST": {"order_cap": "much"}}, POST=422),
        page("/settings/limits", {"POST": {"order_cap": "250"}}, POST=303),
    ],
    "settings/trading": [
        page("/settings/trading", GET=200, POST=422),
        page("/settings/trading", {"POST": {"order_unit": "dollars"}}, GET=200, POST=303),
    ],
    "settings/appearance": [
        page("/settings/appearance", GET=200, POST=422),
        page("/settings/appearance", {"POST": {"theme": "dark"}}, GET=200, POST=303),
    ],
    "settings/notifications": [page("/settings/notifications", GET=200, POST=303)],
    "settings/columns/<str:table>": [
        page("/settings/columns/holdings", POST=303),
        page("/settings/columns/holdings", {"POST": {"column": "nonsense"}}, POST=400),
        page("/settings/columns/nosuch", POST=404),
    ],
    "settings/security": [page("/settings/security", GET=200)],
    "settings/security/confirm": [
        page("/settings/security/confirm", GET=200, POST=422),
    ],
    "settings/security/app": [page("/settings/security/app", GET=200, POST=422)],
    "settings/security/codes": [page("/settings/security/codes", POST=(302, 409, 409, 200))],
    "settings/security/<int:factor_id>/remove": [
        page("/settings/security/0/remove", POST=404),
    ],
    "settings/security/passkey": [page("/settings/security/passkey", GET=200, POST=422)],
    "settings/security/passkey/make": [page("/settings/security/passkey/make", POST=200)],
    "settings/security/passkey/ask": [page("/settings/security/passkey/ask", POST=200)],
    "settings/security/<int:factor_id>/rename": [
        page("/settings/security/0/rename", POST=303),
        page("/settings/security/0/rename", {"POST": {"name": "My phone"}}, POST=404),
    ],
    "settings/sessions/<int:session_id>/end": [page("/settings/sessions/1/end", POST=404)],
    "settings/trusted/<int:browser_id>/end": [page("/settings/trusted/1/end", POST=404)],
    "settings/trusted/end": [page("/settings/trusted/end", POST=303)],
    "settings/password": [page("/settings/password", GET=200, POST=422)],
    "settings/sessions": [page("/settings/sessions", POST=303)],
    "settings/developers": [page("/settings/developers", GET=200)],
    "settings/developers/new": [
        page("/settings/developers/new", GET=200, POST=422),
        page(
            "/settings/developers/new",
            {"POST": {"name": "Bot", "scope": "read", "days": "9", "password": "{password}"}},
            GET=200,
            POST=201,
        ),
    ],
    "settings/developers/<int:key_id>/revoke": [
        page("/settings/developers/{key}/revoke", POST=mine(303)),
    ],
    "settings/developers/revoke-all": [page("/settings/developers/revoke-all", POST=303)],
    "settings/data": [page("/settings/data", GET=200)],
    "settings/export": [page("/settings/export", GET=200)],
    "settings/brokers": [page("/settings/brokers", GET=200)],
    "settings/brokers/connect": [
        page("/settings/brokers/connect", GET=200, POST=422),
        page("/settings/brokers/connect?broker=ccxt", {"POST": ALPACA}, GET=200, POST=303),
    ],
    "settings/brokers/choose": [
        page("/settings/brokers/choose", POST=404),
        page("/settings/brokers/choose", {"POST": {"account_id": "{account}"}}, POST=mine(303)),
    ],
    "settings/brokers/<int:account_id>": [page("/settings/brokers/{account}", GET=mine(200))],
    **{
        f"settings/brokers/<int:account_id>/{act}": [
            page(f"/settings/brokers/{{account}}/{act}", POST=mine(303))
        ]
        for act in ("test", "stop", "resume", "disconnect")
    },
    "settings/brokers/<int:account_id>/change": [
        page("/settings/brokers/{account}/change", POST=mine(422)),
        page("/settings/brokers/{account}/change", {"POST": {"label": "Two"}}, POST=mine(303)),
    ],
    "settings/brokers/<int:account_id>/key": [
        page("/settings/brokers/{account}/key", {"POST": ALPACA}, POST=mine(422)),
    ],
    "settings/close": [page("/settings/close", POST=422)],
    "api/v1/auth/register": [open_api("auth/register", POST=400)],
    "api/v1/auth/login": [open_api("auth/login", POST=400)],
    "api/v1/auth/refresh": [
        open_api("auth/refresh", POST=400),
        open_api("auth/refresh", {"POST": {"refresh_token": "x"}}, POST=401),
    ],
    "api/v1/auth/logout": [open_api("auth/logout", POST=400)],
    "api/v1/auth/me": [api("auth/me", shut=METHODS, GET=200)],
    "api/v1/accounts": [
        api("accounts", shut=("POST",), GET=200, POST=400),
        api("accounts", {"POST": {"broker": "alpaca"}}, shut=("POST",), GET=200, POST=422),
        api("accounts", {"POST": ALPACA}, shut=("POST",), GET=200, POST=201),
    ],
    "api/v1/accounts/<int:account_id>": [
        api(
            "accounts/{account}",
            shut=("PATCH", "DELETE"),
            GET=mine(200),
            PATCH=mine(200),
            DELETE=mine(409),
        ),
    ],
    "api/v1/accounts/<int:account_id>/key": [
        api("accounts/{account}/key", shut=METHODS, PUT=mine(422)),
        api("accounts/{account}/key", {"PUT": ALPACA}, shut=METHODS, PUT=mine(409)),
    ],
    "api/v1/accounts/<int:account_id>/test": [
        api("accounts/{account}/test", shut=METHODS, POST=mine(409))
    ],
    "api/v1/accounts/<int:account_id>/stop": [api("accounts/{account}/stop", POST=mine(200))],
    "api/v1/accounts/<int:account_id>/resume": [
        api("accounts/{account}/resume", shut=METHODS, POST=mine(200))
    ],
    # ── marketdata ──────────────────────────────────────────────────────────
    "markets": [page("/markets", GET=200)],
    "markets/<str:symbol>": [
        page("/markets/AAPL", GET=200),
        page("/markets/NOSUCH", GET=404),
    ],
    "markets/<str:symbol>/bars": [page("/markets/AAPL/bars", GET=200)],
    "markets/<str:symbol>/bars/table": [page("/markets/AAPL/bars/table?range=1W", GET=200)],
    "settings/indicators": [
        page("/settings/indicators", {"POST": {"indicators": "sma20"}}, POST=303),
    ],
    "markets/<str:symbol>/book": [page("/markets/AAPL/book", GET=200)],
    "markets/<str:symbol>/alerts": [page("/markets/AAPL/alerts", GET=200)],
    "alerts": [
        page("/alerts", GET=200, POST=422),
        page(
            "/alerts",
            {"POST": {"symbol": "AAPL", "direction": "below", "price": "70", "repeat": "once"}},
            GET=200,
            POST=303,
        ),
    ],
    "alerts/rows": [
        page("/alerts/rows", POST=400),
        page("/alerts/rows", {"POST": {"off": "{alert}"}}, POST=mine(303)),
        page("/alerts/rows", {"POST": {"rearm": "{alert}"}}, POST=mine(303)),
        page("/alerts/rows", {"POST": {"delete": "{alert}"}}, POST=mine(303)),
    ],
    "search": [page("/search?q=app", GET=200)],
    "watchlist/add": [page("/watchlist/add", {"POST": {"symbol": "AAPL"}}, POST=302)],
    "watchlist/remove": [page("/watchlist/remove", {"POST": {"symbol": "AAPL"}}, POST=302)],
    "watchlist/choose": [
        page(
            "/watchlist/choose", {"POST": {"symbol": "AAPL", "list": "{watchlist}"}}, POST=mine(302)
        ),
    ],
    "watchlists": [page("/watchlists", GET=302)],
    "watchlists/new": [
        page("/watchlists/new", GET=200, POST=422),
        page("/watchlists/new", {"POST": {"name": "Two"}}, GET=200, POST=303),
    ],
    "watchlists/<int:watchlist_id>": [page("/watchlists/{watchlist}", GET=mine(200))],
    "watchlists/<int:watchlist_id>/find": [
        page("/watchlists/{watchlist}/find?q=app", GET=mine(200)),
    ],
    "watchlists/<int:watchlist_id>/put": [
        page("/watchlists/{watchlist}/put", {"POST": {"symbol": "AAPL"}}, POST=mine(303)),
    ],
    "watchlists/<int:watchlist_id>/rows": [page("/watchlists/{watchlist}/rows", POST=mine(400))],
    "watchlists/<int:watchlist_id>/edit": [
        page("/watchlists/{watchlist}/edit", GET=mine(200), POST=mine(422)),
    ],
    "watchlists/<int:watchlist_id>/move": [
        page("/watchlists/{watchlist}/move", {"POST": {"position": "0"}}, POST=mine(303)),
    ],
    "watchlists/<int:watchlist_id>/delete": [
        page("/watchlists/{watchlist}/delete", GET=mine(200), POST=mine(303)),
    ],
    "watchlists/<int:watchlist_id>/export": [
        page("/watchlists/{watchlist}/export", GET=mine(200)),
    ],
    "watchlists/<int:watchlist_id>/import": [
        page("/watchlists/{watchlist}/import", GET=mine(200), POST=mine(422)),
    ],
    "api/v1/alerts": [
        api("alerts", GET=200, POST=400),
        api(
            "alerts",
            {"POST": {"symbol": "AAPL", "direction": "below", "price": "70"}},
            GET=200,
            POST=201,
        ),
    ],
    "api/v1/alerts/<int:alert_id>": [
        api("alerts/{alert}", GET=mine(200), DELETE=mine(204)),
    ],
    "api/v1/market/quotes": [api("market/quotes?symbols=AAPL", GET=200)],
    "api/v1/market/quotes/<path:symbol>": [
        api("market/quotes/AAPL", GET=200),
        api("market/quotes/NOSUCH", GET=404),
    ],
    "api/v1/market/bars/<path:symbol>": [api("market/bars/AAPL", GET=200)],
    "api/v1/market/search": [api("market/search?q=app", GET=200)],
    "api/v1/market/movers": [api("market/movers?direction=gainers", GET=200)],
    "api/v1/market/orderbook/<path:symbol>": [api("market/orderbook/AAPL", GET=200)],
    "api/v1/market/clock": [api("market/clock", GET=200)],
    # ── portfolio ───────────────────────────────────────────────────────────
    "dashboard": [page("/dashboard", GET=200)],
    "dashboard/welcome": [page("/dashboard/welcome", POST=303)],
    "portfolio": [page("/portfolio", GET=200)],
    "portfolio/history": [page("/portfolio/history?period=1W", GET=200)],
    "portfolio/history/table": [page("/portfolio/history/table?period=YTD", GET=200)],
    "portfolio/lots/<int:position_id>": [page("/portfolio/lots/{position}", GET=mine(200))],
    "portfolio/export": [page("/portfolio/export", GET=200)],
    "activity": [page("/activity", GET=200)],
    "activity/export": [page("/activity/export", GET=200)],
    "statements": [page("/statements", GET=200)],
    "statements/<str:month>": [
        page("/statements/2026-11", GET=200),
        page("/statements/2026-10", GET=404),
    ],
    "statements/<str:month>/csv": [page("/statements/2026-11/csv", GET=200)],
    "taxes": [page("/taxes", GET=200)],
    "taxes/<int:year>": [page("/taxes/2026", GET=200), page("/taxes/2025", GET=404)],
    "taxes/<int:year>/csv": [page("/taxes/2026/csv", GET=200)],
    "transfers": [
        page("/transfers", GET=200, POST=422),
        page(
            "/transfers",
            {"POST": {"direction": "deposit", "amount": "1", "key": "0" * 32}},
            GET=200,
            POST=303,
        ),
    ],
    "api/v1/portfolio": [
        api("portfolio", GET=200),
        api("portfolio?account_id={account}", GET=mine(200)),
    ],
    "api/v1/portfolio/positions": [
        api("portfolio/positions", GET=200),
        api("portfolio/positions?account_id={account}", GET=mine(200)),
    ],
    "api/v1/portfolio/positions/<path:symbol>": [
        api("portfolio/positions/AAPL", GET=mine(200)),
        api("portfolio/positions/AAPL?account_id={account}", GET=mine(200)),
    ],
    "api/v1/portfolio/history": [
        api("portfolio/history", GET=200),
        api("portfolio/history?account_id={account}", GET=mine(200)),
    ],
    "api/v1/portfolio/activity": [
        api("portfolio/activity", GET=200),
        api("portfolio/activity?account_id={account}", GET=mine(200)),
    ],
    "api/v1/portfolio/transfers": [
        api("portfolio/transfers", POST=400),
        api(
            "portfolio/transfers",
            {"POST": {"direction": "deposit", "amount": "1", "account_id": "{account}"}},
            POST=mine(201),
        ),
    ],
    # ── trading ─────────────────────────────────────────────────────────────
    "markets/<str:symbol>/ticket": [page("/markets/AAPL/ticket", GET=200, POST=200)],
    "markets/<str:symbol>/estimate": [page("/markets/AAPL/estimate", POST=200)],
    "markets/<str:symbol>/review": [page("/markets/AAPL/review", POST=422)],
    "markets/<str:symbol>/mine": [page("/markets/AAPL/mine", GET=200)],
    "markets/<str:symbol>/marks": [page("/markets/AAPL/marks", GET=200)],
    "standing": [page("/standing?symbol=AAPL", GET=200)],
    "trade": [page("/trade", GET=302)],
    "orders": [page("/orders", GET=200)],
    "orders/place": [page("/orders/place", POST=400)],
    "orders/<int:order_id>": [page("/orders/{order}", GET=mine(200))],
    "orders/cancel-all": [
        page("/orders/cancel-all", GET=200, POST=422),
        page("/orders/cancel-all", {"POST": {"confirm": "CANCEL"}}, GET=200, POST=303),
    ],
    "orders/<int:order_id>/events": [page("/orders/{order}/events", GET=mine(200))],
    "orders/<int:order_id>/replace": [page("/orders/{order}/replace", POST=mine(422))],
    "orders/<int:order_id>/cancel": [page("/orders/{order}/cancel", POST=mine(303))],
    "api/v1/orders": [
        api("orders", GET=200, POST=400),
        api(
            "orders?account_id={account}",
            {
                "POST": {
                    "symbol": "AAPL",
                    "asset_type": "stock",
                    "side": "buy",
                    "order_type": "limit",
                    "limit_price": "99",
                    "qty": "1",
                    "account_id": "{account}",
                }
            },
            GET=mine(200),
            POST=mine(201),
        ),
    ],
    "api/v1/orders/<int:order_id>": [
        api("orders/{order}", GET=mine(200), PATCH=mine(400), DELETE=mine(202)),
    ],
    "api/v1/positions": [
        api("positions", GET=200),
        api("positions?account_id={account}", GET=mine(200)),
    ],
    "api/v1/positions/<int:position_id>": [
        api("positions/{position}", GET=mine(200), DELETE=mine(201)),
    ],
    # ── the API's own papers ────────────────────────────────────────────────
    "api/schema": [open_page("/api/schema", GET=200)],
    "api/docs": [open_page("/api/docs", GET=200), open_page("/api/docs?script=", GET=200)],
}

#: The admin answers by rule: nobody and people without `is_staff` never come in, and staff without
#: a permission sees the index and nothing of any model. These are its pages beside the models'.
ADMIN_PAGES = frozenset(
    {
        "admin/",
        "admin/login/",
        "admin/logout/",
        "admin/password_change/",
        "admin/password_change/done/",
        "admin/autocomplete/",
        "admin/jsi18n/",
        "admin/r/<path:content_type_id>/<path:object_id>/",
    }
)
