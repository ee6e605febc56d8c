"""Instruments: loading, finding, halting."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from accounts.models import AuditEvent
from marketdata import selectors
from marketdata.models import Instrument
from marketdata.selectors import UnknownSymbol, instrument_get, instrument_search
from marketdata.services.instruments import (
    instrument_halt,
    instrument_resume,
    instruments_load,
)
from marketdata.tests.factories import make_instrument
from speedtrade.lib.errors import Conflict, InvalidInput

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def test_loading_gives_the_stocks_and_coins_that_people_know():
    new, total = instruments_load()
    assert new == total == Instrument.objects.count()
    assert Instrument.objects.filter(asset_type="stock").count() >= 60
    assert Instrument.objects.filter(asset_type="crypto").count() >= 12
    assert {"AAPL", "SPY", "BTC/USD"} <= set(Instrument.objects.values_list("symbol", flat=True))


def test_price_times_quantity_of_any_instrument_is_exact_in_the_books():
    instruments_load()
    for row in Instrument.objects.all():
        digits = -row.price_tick.normalize().as_tuple().exponent
        digits -= row.qty_step.normalize().as_tuple().exponent
        assert digits <= 8, row.symbol


def test_loading_again_follows_the_file_and_never_lifts_a_halt(user):
    instruments_load()
    instrument_halt(symbol="AAPL", actor=user, reason="news", now=NOW)
    Instrument.objects.filter(symbol="AAPL").update(name="Misspelt")
    out = StringIO()
    call_command("load_instruments", stdout=out)
    apple = Instrument.objects.get(symbol="AAPL")
    assert apple.name == "Apple Inc."
    assert (apple.halted_at, apple.halt_reason) == (NOW, "news")
    assert "0 of them new" in out.getvalue()


@pytest.mark.parametrize("spelling", ["BTC/USD", "btc-usd", "BTCUSD", " BTC_USD "])
def test_a_coin_is_found_however_it_is_written(spelling):
    make_instrument("BTC/USD")
    assert instrument_get(spelling).symbol == "BTC/USD"


@pytest.mark.parametrize("spelling", ["NOSUCH", "", "'; drop table", "A" * 500, "¼"])
def test_what_does_not_exist_is_an_unknown_symbol(spelling):
    make_instrument("AAPL")
    with pytest.raises(UnknownSymbol) as error:
        instrument_get(spelling)
    assert (error.value.code, error.value.status) == ("unknown_symbol", 404)


def test_an_instrument_is_read_once_and_again_when_its_time_is_up(
    settings, monkeypatch, django_assert_num_queries
):
    make_instrument("AAPL")
    settings.INSTRUMENT_CACHE = timedelta(seconds=2)
    clock = [100.0]
    monkeypatch.setattr(selectors.time, "monotonic", lambda: clock[0])
    selectors.instruments_forget()
    with django_assert_num_queries(1):
        instrument_get("AAPL")
        instrument_get("AAPL")
    clock[0] += 2
    with django_assert_num_queries(1):
        instrument_get("AAPL")
    selectors.instruments_forget()


def test_what_is_remembered_of_a_find_is_short_however_long_it_was_asked(settings):
    make_instrument("AAPL")
    settings.INSTRUMENT_CACHE = timedelta(hours=1)
    selectors.instruments_forget()
    padded = " " * 60_000 + "aapl"
    assert instrument_get(padded).symbol == "AAPL"
    assert selectors.instruments_split([padded])[1] == []
    assert set(selectors._found) == {"aapl"}
    selectors.instruments_forget()


def test_a_halt_has_a_reason_and_an_audit_row(user):
    make_instrument("AAPL")
    instrument_halt(symbol="AAPL", actor=user, reason=" news pending ", now=NOW)
    row = Instrument.objects.get(symbol="AAPL")
    assert (row.halted_at, row.halt_reason) == (NOW, "news pending")
    event = AuditEvent.objects.get()
    assert (event.action, event.target, event.actor) == (
        "instrument.halt",
        "instrument:AAPL",
        user,
    )
    assert event.reason == "news pending"
    with pytest.raises(Conflict):
        instrument_halt(symbol="AAPL", actor=user, reason="again", now=NOW)
    instrument_resume(symbol="AAPL", actor=user, reason="news is out", now=NOW)
    row.refresh_from_db()
    assert (row.halted_at, row.halt_reason) == (None, "")
    assert AuditEvent.objects.filter(action="instrument.resume").count() == 1
    with pytest.raises(Conflict):
        instrument_resume(symbol="AAPL", actor=user, reason="again", now=NOW)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 201])
def test_nothing_is_halted_without_saying_why(user, reason):
    make_instrument("AAPL")
    with pytest.raises(InvalidInput):
        instrument_halt(symbol="AAPL", actor=user, reason=reason, now=NOW)
    assert not AuditEvent.objects.exists()


def test_halting_what_does_not_exist_is_an_unknown_symbol(user):
    with pytest.raises(UnknownSymbol):
        instrument_halt(symbol="NOSUCH", actor=user, reason="why", now=NOW)


def test_a_halt_is_seen_at_once_where_it_was_made(
    user, settings, django_capture_on_commit_callbacks
):
    make_instrument("AAPL")
    settings.INSTRUMENT_CACHE = timedelta(hours=1)
    selectors.instruments_forget()
    assert instrument_get("AAPL").halted_at is None
    with django_capture_on_commit_callbacks(execute=True):
        instrument_halt(symbol="AAPL", actor=user, reason="news", now=NOW)
    assert instrument_get("AAPL").halted_at == NOW
    selectors.instruments_forget()


def test_search_puts_the_symbol_first_then_beginnings_then_parts_of_names():
    for symbol, name in (
        ("APP", "AppLovin Corporation"),
        ("AAPL", "Apple Inc."),
        ("SNAP", "Snap Inc."),
        ("XYZ", "Pineapple Holdings"),
        ("QQQ", "The Apple Fund"),
    ):
        make_instrument(symbol, name=name)
    assert [row.symbol for row in instrument_search("app", 20)] == ["APP", "AAPL", "QQQ", "XYZ"]
    assert [row.symbol for row in instrument_search("aap", 20)] == ["AAPL"]
    assert [row.symbol for row in instrument_search("app", 2)] == ["APP", "AAPL"]
    assert instrument_search("   ", 20) == []
    assert instrument_search("%", 20) == []
    assert [row.symbol for row in instrument_search("inc.", 20)] == ["AAPL", "SNAP"]


@pytest.mark.parametrize("q", ["btcusd", "BTC-USD", "btc", "bitcoin"])
def test_search_finds_a_coin_in_any_spelling(q):
    make_instrument("BTC/USD", name="Bitcoin")
    assert [row.symbol for row in instrument_search(q, 20)] == ["BTC/USD"]


@pytest.mark.parametrize(
    "change",
    [{"price_tick": Decimal(0)}, {"qty_step": Decimal(0)}, {"asset_type": "bond"}],
)
def test_the_database_refuses_rules_that_make_no_sense(change):
    with pytest.raises(IntegrityError), transaction.atomic(using=connection.alias):
        make_instrument("AAPL", **change)
