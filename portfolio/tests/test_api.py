"""The JSON doors of the portfolio: fields of the contract, pages, keys, and nobody else's rows."""

import re
from decimal import Decimal
from typing import Any

import pytest

from portfolio.models import CashTransfer, EquitySnapshot
from portfolio.services.snapshots import equity_snapshot
from portfolio.tests.ledger import Ledger
from speedtrade.testing.cast import ApiClient
from speedtrade.testing.market import put_quote, quote

D = Decimal
MONEY = re.compile(r"-?\d+\.\d\d+")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
PORTFOLIO = {
    "account_id", "currency", "cash_balance", "buying_power", "reserved", "portfolio_value",
    "positions_value", "total_pl", "total_pl_pct", "day_pl", "day_pl_pct", "as_of",
}  # fmt: skip
POSITION = {"symbol", "asset_type", "qty", "avg_price", "current_price", "unrealized_pl"}


@pytest.fixture
def api(ledger: Ledger) -> ApiClient:
    return ApiClient(ledger.user)


@pytest.fixture
def stranger(ledger: Ledger, charlie: Any) -> ApiClient:
    return ApiClient(charlie)


@pytest.fixture
def holdings(ledger: Ledger) -> Ledger:
    """Ten shares at 100 with a dollar's fee, half a coin at 50,000; prices 105 and 52,000."""
    ledger.fill("buy", "10", "100", "1")
    ledger.fill("buy", "0.5", "50000", "25", symbol="BTC/USD")
    ledger.hold("500.25", order_ref=1)
    put_quote(quote("AAPL", "104.99", "105.00", now=ledger.now))
    put_quote(quote("BTC/USD", "51999.00", "52000.00", now=ledger.now, prev_close="51000.00"))
    return ledger


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), body
    return body


# ── the account ──────────────────────────────────────────────────────────────
def test_a_new_account_is_its_opening_cash(api: ApiClient, ledger: Ledger):
    body = api.get("portfolio").json()
    assert set(body) >= PORTFOLIO
    assert body["account_id"] == ledger.account.pk
    assert {name: body[name] for name in ("currency", "cash_balance", "buying_power")} == {
        "currency": "USD",
        "cash_balance": "100000.00",
        "buying_power": "100000.00",
    }
    assert (body["total_pl"], body["total_pl_pct"], body["day_pl"]) == ("0.00", "0.00", "0.00")


def test_every_figure_adds_up(api: ApiClient, holdings: Ledger):
    body = api.get("portfolio").json()
    assert body["cash_balance"] == "73974.00"
    assert body["reserved"] == "500.25"
    assert body["buying_power"] == "73473.75"
    assert body["positions_value"] == "27050.00"
    assert body["portfolio_value"] == "101024.00"
    assert (body["total_pl"], body["total_pl_pct"]) == ("1024.00", "1.024")
    assert body["day_pl"] == "1024.00"
    for name in PORTFOLIO - {"account_id", "currency", "as_of", "total_pl_pct", "day_pl_pct"}:
        assert MONEY.fullmatch(body[name]), name
    assert TIME.fullmatch(body["as_of"])


def test_positions_show_what_they_cost_and_are_worth(api: ApiClient, holdings: Ledger):
    share, coin = api.get("portfolio/positions").json()
    assert set(share) >= POSITION
    assert (share["symbol"], share["asset_type"], share["qty"]) == ("AAPL", "stock", "10")
    assert (share["avg_price"], share["current_price"]) == ("100.00", "105.00")
    assert (share["unrealized_pl"], share["unrealized_pl_pct"]) == ("50.00", "5.00")
    assert (coin["symbol"], coin["qty"], coin["market_value"]) == ("BTC/USD", "0.5", "26000.00")
    assert coin["fees"] == "25.00"
    assert not share["stale"]


@pytest.mark.parametrize("spelling", ["BTC/USD", "BTC-USD", "BTCUSD", "btc-usd", "BTC%2FUSD"])
def test_a_coins_position_is_found_in_every_spelling(
    api: ApiClient, holdings: Ledger, spelling: str
):
    body = api.get(f"portfolio/positions/{spelling}").json()
    assert (body["symbol"], body["qty"]) == ("BTC/USD", "0.5")


def test_a_symbol_without_a_position_is_not_found(api: ApiClient, ledger: Ledger):
    ledger.instrument("MSFT")
    problem(api.get("portfolio/positions/MSFT"), 404, "not_found")
    problem(api.get("portfolio/positions/NOSUCH"), 404, "unknown_symbol")


def test_an_old_price_is_marked(api: ApiClient, holdings: Ledger, settings):
    holdings.wait(settings.QUOTE_STALE_AFTER.total_seconds() + 1)
    body = api.get("portfolio").json()
    assert body["stale"] is True
    assert body["positions_value"] == "27050.00"
    assert all(position["stale"] for position in api.get("portfolio/positions").json())


# ── history ──────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("period", ["1D", "1W", "1M", "3M", "YTD", "1Y", "ALL"])
def test_the_equity_curve_of_each_period_ends_now(api: ApiClient, holdings: Ledger, period: str):
    equity_snapshot(now=holdings.wait(60))
    body = api.get(f"portfolio/history?period={period}").json()
    assert (body["period"], body["account_id"]) == (period, holdings.account.pk)
    assert body["points"][-1]["equity"] == "101024.00"
    for point in body["points"]:
        assert TIME.fullmatch(point["t"]) and MONEY.fullmatch(point["equity"])
    assert [point["t"] for point in body["points"]] == sorted(p["t"] for p in body["points"])


def test_the_change_of_a_period_leaves_deposits_out(api: ApiClient, ledger: Ledger):
    ledger.wait(60)
    equity_snapshot(now=ledger.now)
    ledger.wait(60)
    ledger.deposit("5000")
    body = api.get("portfolio/history?period=1D").json()
    assert (body["change"], body["change_pct"]) == ("0.00", "0.00")
    assert body["points"][-1]["net_deposits"] == "105000.00"


def test_without_a_period_a_month_is_shown_and_an_odd_one_refused(api: ApiClient):
    assert api.get("portfolio/history").json()["period"] == "1M"
    body = problem(api.get("portfolio/history?period=2D"), 400, "invalid")
    assert [error["field"] for error in body["errors"]] == ["period"]


# ── activity ─────────────────────────────────────────────────────────────────
def test_activity_tells_fills_and_transfers_newest_first(api: ApiClient, ledger: Ledger):
    ledger.wait(60)
    ledger.deposit("50")
    ledger.wait(60)
    ledger.fill("buy", "10", "100", "1")
    ledger.wait(60)
    ledger.withdraw("25")
    rows = api.get("portfolio/activity").json()["results"]
    assert [(row["type"], row["amount"]) for row in rows] == [
        ("withdrawal", "-25.00"),
        ("fill", "-1001.00"),
        ("deposit", "50.00"),
        ("deposit", "100000.00"),
    ]
    fill = rows[1]
    assert (fill["symbol"], fill["side"], fill["qty"]) == ("AAPL", "buy", "10")
    assert (fill["price"], fill["fee"]) == ("100.00", "1.00")
    assert rows[0]["symbol"] is None


def test_activity_comes_in_pages(api: ApiClient, ledger: Ledger):
    for _ in range(4):
        ledger.wait(1)
        ledger.deposit("1")
    page, seen = api.get("portfolio/activity?limit=2").json(), []
    while True:
        seen += [row["id"] for row in page["results"]]
        if not page["next"]:
            break
        page = api.get(page["next"].partition("/api/v1/")[2]).json()
    assert len(seen) == len(set(seen)) == 5
    assert seen == sorted(seen, reverse=True)


# ── transfers ────────────────────────────────────────────────────────────────
def test_a_transfer_moves_money_once_per_key(api: ApiClient, ledger: Ledger):
    body, key = {"direction": "deposit", "amount": "250.50"}, {"Idempotency-Key": "monday"}
    first = api.post("portfolio/transfers", body, **key)
    again = api.post("portfolio/transfers", body, **key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert first.json()["amount"] == "250.50"
    assert again["Idempotent-Replayed"] == "true"
    assert ledger.cash == D("100250.50")
    other = api.post("portfolio/transfers", body | {"amount": "1"}, **key)
    problem(other, 422, "idempotency_mismatch")


def test_without_a_key_each_call_is_a_transfer(api: ApiClient, ledger: Ledger):
    for _ in range(2):
        answer = api.post("portfolio/transfers", {"direction": "withdrawal", "amount": "1"})
        assert answer.status_code == 201
    assert ledger.cash == D(99_998)


def test_more_than_is_free_is_not_withdrawn(api: ApiClient, ledger: Ledger):
    ledger.hold("99999", order_ref=1)
    body = {"direction": "withdrawal", "amount": "1.01"}
    problem(api.post("portfolio/transfers", body), 422, "insufficient_cash")
    assert ledger.cash == D(100_000)


@pytest.mark.parametrize(
    "body, field",
    [
        ({"amount": "1"}, "direction"),
        ({"direction": "sideways", "amount": "1"}, "direction"),
        ({"direction": "deposit"}, "amount"),
        ({"direction": "deposit", "amount": None}, "amount"),
        ({"direction": "deposit", "amount": ""}, "amount"),
        ({"direction": "deposit", "amount": "0"}, "amount"),
        ({"direction": "deposit", "amount": "-5"}, "amount"),
        ({"direction": "deposit", "amount": "1e3"}, "amount"),
        ({"direction": "deposit", "amount": "NaN"}, "amount"),
        ({"direction": "deposit", "amount": "0.000000001"}, "amount"),
        ({"direction": "deposit", "amount": "1000000.01"}, "amount"),
        ({"direction": "deposit", "amount": ["1"]}, "amount"),
        ({"direction": "deposit", "amount": 250.5}, "amount"),
        ({"direction": "deposit", "amount": 1.0}, "amount"),
        ({"direction": "deposit", "amount": True}, "amount"),
        ({"direction": "deposit", "amount": "1", "account_id": "x"}, "account_id"),
    ],
)
def test_a_malformed_transfer_hears_which_field_is_wrong(
    api: ApiClient, body: dict[str, Any], field: str
):
    words = problem(api.post("portfolio/transfers", body), 400, "invalid")
    assert [error["field"] for error in words["errors"]] == [field]
    assert not CashTransfer.objects.exists()


# ── strangers ────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "path", ["portfolio", "portfolio/positions", "portfolio/history", "portfolio/activity"]
)
def test_a_stranger_sees_his_own_account_and_no_other(
    stranger: ApiClient, holdings: Ledger, path: str
):
    """Fails without the owner in the look-up of the account."""
    EquitySnapshot.objects.create(
        brokerage_account=holdings.account,
        at=holdings.now,
        cash=1,
        positions_value=0,
        net_deposits=0,
    )
    problem(stranger.get(f"{path}?account_id={holdings.account.pk}"), 404, "not_found")
    own = stranger.get(path)
    assert own.status_code == 200
    assert "AAPL" not in own.content.decode()


def test_a_stranger_moves_no_money_of_another(stranger: ApiClient, ledger: Ledger):
    body = {"direction": "withdrawal", "amount": "1", "account_id": ledger.account.pk}
    problem(stranger.post("portfolio/transfers", body), 404, "not_found")
    assert ledger.cash == D(100_000)


def test_a_stranger_finds_no_position_by_symbol(stranger: ApiClient, holdings: Ledger):
    path = f"portfolio/positions/AAPL?account_id={holdings.account.pk}"
    problem(stranger.get(path), 404, "not_found")
    problem(stranger.get("portfolio/positions/AAPL"), 404, "not_found")


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "1" * 19, "٣"])
def test_an_odd_account_id_is_refused(api: ApiClient, value: str):
    problem(api.get(f"portfolio?account_id={value}"), 400, "invalid")


@pytest.mark.parametrize(
    "path", ["portfolio", "portfolio/positions", "portfolio/positions/AAPL", "portfolio/history"]
)
def test_nobody_gets_in_without_a_token(db: None, path: str):
    problem(ApiClient().get(path), 401, "not_authenticated")
