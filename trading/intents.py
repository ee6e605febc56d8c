"""From what a form or a body says to an OrderIntent: one parser for both doors."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from marketdata.models import Instrument
from marketdata.selectors import instrument_get
from speedtrade.lib.errors import FieldError, InvalidInput
from speedtrade.lib.money import NotANumber, parse_given
from trading.domain.orders import Changes, OrderIntent, OrderType, Side, TimeInForce

_CLIENT_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
_STOPS = ("stop_price", "trail_price", "trail_percent")
#: Further orders that would come with this one. Without them it would be another order than meant.
_LEGS = ("take_profit", "stop_loss", "legs")
PRICE_BELOW = Decimal(10) ** 10  # what a price column holds
TYPE_WORDS = "market or limit"


def intent_parse(data: Mapping[str, Any]) -> tuple[OrderIntent, Instrument]:
    """The intent and its instrument.

    `data` has the fields of the contract as text (numbers may be whole JSON numbers too, never
    floats). Raises InvalidInput with one message per field, NotFound `unknown_symbol`.
    """
    reader = _Reader(data)
    symbol = reader.text("symbol", required=True)
    asset_type = reader.choice("asset_type", ("stock", "crypto"), required=False)
    side = reader.choice("side", tuple(s.value for s in Side))
    order_type = reader.choice("order_type", tuple(t.value for t in OrderType))
    tif = reader.choice("time_in_force", tuple(t.value for t in TimeInForce), required=False)
    qty, notional = reader.number("qty"), reader.number("notional")
    limit_price = reader.number("limit_price", below=PRICE_BELOW)
    client_order_id = reader.text("client_order_id")
    extended = reader.flag("extended_hours")
    _check_amounts(reader, qty, notional)
    _check_prices(reader, order_type, limit_price)
    _check_alone(reader)
    if client_order_id and not _CLIENT_ID.fullmatch(client_order_id):
        reader.wrong("client_order_id", "Use up to 64 letters, digits and . _ : -")
    reader.done()
    instrument = instrument_get(symbol)
    if asset_type and asset_type != instrument.asset_type:
        raise InvalidInput.field(
            "asset_type", f"{instrument.symbol} is {instrument.asset_type}, not {asset_type}."
        )
    default_tif = TimeInForce.GTC if instrument.asset_type == "crypto" else TimeInForce.DAY
    return (
        OrderIntent(
            symbol=instrument.symbol,
            side=Side(side),
            order_type=OrderType(order_type),
            time_in_force=TimeInForce(tif) if tif else default_tif,
            qty=qty,
            notional=notional,
            limit_price=limit_price,
            asset_type=instrument.asset_type,
            extended_hours=extended,
            client_order_id=client_order_id or None,
        ),
        instrument,
    )


def changes_parse(data: Mapping[str, Any]) -> Changes:
    """What a replacement asks for; raises InvalidInput with one message per field."""
    reader = _Reader(data)
    qty, limit_price = reader.number("qty"), reader.number("limit_price", below=PRICE_BELOW)
    tif = reader.choice("time_in_force", tuple(t.value for t in TimeInForce), required=False)
    for name in _STOPS:
        if reader.given(name):
            reader.wrong(name, "This order has no such price.")
    reader.done()
    return Changes(qty, limit_price, TimeInForce(tif) if tif else None)


def _check_amounts(reader: "_Reader", qty: Decimal | None, notional: Decimal | None) -> None:
    if qty is None and notional is None and not reader.has_error("qty", "notional"):
        reader.wrong("qty", "Say how much: a quantity or an amount of money.")
    if qty is not None and notional is not None:
        reader.wrong("qty", "Give a quantity or an amount of money, not both.")
    if notional is not None and notional != notional.quantize(Decimal("0.01")):
        reader.wrong("notional", "Write the amount in whole cents.")


def _check_prices(reader: "_Reader", order_type: str, limit_price: Decimal | None) -> None:
    if (
        order_type == OrderType.LIMIT
        and limit_price is None
        and not reader.has_error("limit_price")
    ):
        reader.wrong("limit_price", "A limit order needs a limit price.")
    if order_type == OrderType.MARKET and limit_price is not None:
        reader.wrong("limit_price", "A market order has no limit price; choose a limit order.")
    for name in _STOPS:
        if order_type in {OrderType.MARKET, OrderType.LIMIT} and reader.given(name):
            reader.wrong(name, f"A {order_type} order has no {name.replace('_', ' ')}.")


def _check_alone(reader: "_Reader") -> None:
    for name in _LEGS:
        if reader.given(name):
            reader.wrong(name, "An order comes alone here: leave this out.")
    if reader.text("order_class") not in ("", "simple"):
        reader.wrong("order_class", "An order comes alone here: leave this out, or say simple.")


class _Reader:
    """Reads fields one by one and gathers what is wrong, so that all of it is told at once."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data
        self._errors: list[FieldError] = []

    def wrong(self, field: str, detail: str, code: str = "invalid") -> None:
        self._errors.append(FieldError(field, code, detail))

    def has_error(self, *fields: str) -> bool:
        return any(error.field in fields for error in self._errors)

    def given(self, field: str) -> bool:
        return self._data.get(field) not in (None, "")

    def text(self, field: str, *, required: bool = False) -> str:
        value = self._data.get(field)
        if value is None:
            value = ""
        if not isinstance(value, str) or len(value) > 255 or "\x00" in value:
            self.wrong(field, "Write this as text.")
            return ""
        text = value.strip()
        if required and not text:
            self.wrong(field, "This is needed.", "required")
        return text

    def choice(self, field: str, choices: tuple[str, ...], *, required: bool = True) -> str:
        value = self.text(field, required=required)
        if value and value not in choices:
            self.wrong(field, f"Choose one of {', '.join(choices)}.", "invalid_choice")
            return ""
        return value

    def number(self, field: str, *, below: Decimal | None = None) -> Decimal | None:
        value = self._data.get(field)
        if value is None or value == "":
            return None
        try:
            number = parse_given(value)
        except NotANumber:
            self.wrong(field, 'Write a plain number as text, such as "12.5".')
            return None
        if number <= 0:
            self.wrong(field, "This must be more than zero.")
            return None
        if below is not None and number >= below:
            self.wrong(field, f"This must be less than {below:,f}.")
            return None
        return number

    def flag(self, field: str) -> bool:
        value = self._data.get(field)
        if value in (None, "", False, "false"):
            return False
        if value in (True, "true", "on"):
            return True
        self.wrong(field, "Write true or false.")
        return False

    def done(self) -> None:
        """Raise InvalidInput when anything was wrong."""
        if self._errors:
            words = "; ".join(f"{error.field}: {error.detail}" for error in self._errors)
            raise InvalidInput(words, errors=self._errors)
