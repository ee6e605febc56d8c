"""What the market's JSON doors take in their query, and the shapes they answer with.

Answers are built by `marketdata.presenters`; their serializers here only describe them.
"""

from datetime import UTC, datetime, time
from typing import Any

from django.conf import settings
from django.core.validators import RegexValidator
from django.utils.dateparse import parse_date, parse_datetime
from rest_framework import serializers

from marketdata.domain.alerts import AlertDirection, AlertRepeat, AlertState
from marketdata.domain.bars import TIMEFRAMES
from marketdata.models import AssetType
from marketdata.models.alerts import NOTE_MAX
from marketdata.selectors import DIRECTIONS
from speedtrade.lib.api import NumberField

#: The document says so too: PostgreSQL stores no such text.
NO_NUL = RegexValidator(r"^[^\x00]*$", "Leave out the character NUL.")


class MomentField(serializers.CharField):
    """RFC 3339 with a time zone, or a day, which stands for its midnight in UTC."""

    def to_internal_value(self, data: Any) -> datetime:  # type: ignore[override]
        # In a query an unquoted + arrives as a space.
        text = super().to_internal_value(data).replace(" ", "+")
        try:
            # A day first: the parser of times would take it for a time without a zone.
            day = parse_date(text)
            moment = parse_datetime(text) if day is None else datetime.combine(day, time(), UTC)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise serializers.ValidationError("Write a time such as 2026-01-05T14:30:00Z.")
        try:
            return moment.astimezone(UTC)
        except OverflowError as error:
            raise serializers.ValidationError("That is too far away.") from error


class QuotesQuery(serializers.Serializer[Any]):
    symbols = serializers.CharField(
        validators=[NO_NUL],
        max_length=settings.QUOTES_LIMIT * 25,
        help_text=f"Up to {settings.QUOTES_LIMIT} symbols, separated by commas.",
    )

    def validate_symbols(self, value: str) -> list[str]:
        symbols = [text.strip() for text in value.split(",") if text.strip()]
        if not symbols:
            raise serializers.ValidationError("Name at least one symbol.")
        if len(symbols) > settings.QUOTES_LIMIT:
            raise serializers.ValidationError(f"At most {settings.QUOTES_LIMIT} symbols at once.")
        return symbols


class BarsQuery(serializers.Serializer[Any]):
    timeframe = serializers.ChoiceField(choices=list(TIMEFRAMES), default="1m")
    start = MomentField(required=False, help_text="Bars that begin at or after this.")
    end = MomentField(required=False, help_text="Bars that begin at or before this; default: now.")
    limit = serializers.IntegerField(
        min_value=1,
        max_value=settings.BARS_LIMIT,
        default=settings.BARS_LIMIT_DEFAULT,
        help_text="The newest so many bars of the range.",
    )


class SearchQuery(serializers.Serializer[Any]):
    # Blanks alone are a search that finds nothing, and no mistake.
    q = serializers.CharField(max_length=60, trim_whitespace=False, validators=[NO_NUL])
    limit = serializers.IntegerField(
        min_value=1, max_value=settings.SEARCH_LIMIT, default=settings.SEARCH_LIMIT
    )


class MoversQuery(serializers.Serializer[Any]):
    direction = serializers.ChoiceField(choices=list(DIRECTIONS), default="gainers")
    asset_type = serializers.ChoiceField(choices=AssetType.values, required=False)
    limit = serializers.IntegerField(
        min_value=1, max_value=settings.QUOTES_LIMIT, default=settings.MOVERS_LIMIT
    )


class QuoteShape(serializers.Serializer[Any]):
    symbol = serializers.CharField()
    bid = serializers.CharField()
    ask = serializers.CharField()
    bid_size = serializers.CharField()
    ask_size = serializers.CharField()
    last = serializers.CharField()
    prev_close = serializers.CharField()
    change = serializers.CharField()
    change_pct = serializers.CharField()
    open = serializers.CharField()
    day_high = serializers.CharField()
    day_low = serializers.CharField()
    volume = serializers.CharField()
    as_of = serializers.DateTimeField()
    source = serializers.CharField()  # type: ignore[assignment] # a field, not the base class's own
    stale = serializers.BooleanField(help_text="Too old to trade on: market orders are refused.")


class QuotesShape(serializers.Serializer[Any]):
    quotes = QuoteShape(many=True)
    missing = serializers.ListField(
        child=serializers.CharField(), help_text="Symbols that have no price yet."
    )


class MoverShape(QuoteShape):
    name = serializers.CharField()
    asset_type = serializers.ChoiceField(choices=AssetType.values)


class MoversShape(serializers.Serializer[Any]):
    direction = serializers.ChoiceField(choices=list(DIRECTIONS))
    results = MoverShape(many=True)


class BarShape(serializers.Serializer[Any]):
    t = serializers.DateTimeField(help_text="When the bar begins.")
    o = serializers.CharField()
    h = serializers.CharField()
    l = serializers.CharField()  # noqa: E741 - the field's name on the wire
    c = serializers.CharField()
    v = serializers.CharField()


class BarsShape(serializers.Serializer[Any]):
    symbol = serializers.CharField()
    timeframe = serializers.ChoiceField(choices=list(TIMEFRAMES))
    bars = BarShape(many=True, help_text="Oldest first.")
    loading = serializers.BooleanField(
        help_text="Some bars of the range are on their way from the vendor: ask again in a moment."
    )


class InstrumentShape(serializers.Serializer[Any]):
    symbol = serializers.CharField()
    name = serializers.CharField()
    asset_type = serializers.ChoiceField(choices=AssetType.values)
    exchange = serializers.CharField()
    sector = serializers.CharField()
    price_tick = serializers.CharField()
    qty_step = serializers.CharField()
    min_qty = serializers.CharField()
    min_notional = serializers.CharField()
    fractionable = serializers.BooleanField()
    tradable = serializers.BooleanField()
    shortable = serializers.BooleanField()
    source = serializers.CharField(  # type: ignore[assignment] # a field, as in QuoteShape
        help_text="Whose prices these are: Alpaca IEX, Kraken, Simulated."
    )
    halted = serializers.BooleanField()


class SearchShape(serializers.Serializer[Any]):
    results = InstrumentShape(many=True)


class LevelShape(serializers.Serializer[Any]):
    price = serializers.CharField()
    size = serializers.CharField()


class BookShape(serializers.Serializer[Any]):
    symbol = serializers.CharField()
    bids = LevelShape(many=True)
    asks = LevelShape(many=True)
    as_of = serializers.DateTimeField()
    source = serializers.CharField()  # type: ignore[assignment] # a field, not the base class's own
    stale = serializers.BooleanField()


class MarketShape(serializers.Serializer[Any]):
    is_open = serializers.BooleanField()
    session_open = serializers.DateTimeField()
    session_close = serializers.DateTimeField()
    next_open = serializers.DateTimeField()
    next_close = serializers.DateTimeField()


class MarketsShape(serializers.Serializer[Any]):
    stock = MarketShape()
    crypto = MarketShape()


class ClockShape(serializers.Serializer[Any]):
    timestamp = serializers.DateTimeField()
    mode = serializers.ChoiceField(choices=["always", "nyse"])
    markets = MarketsShape()


class AlertInput(serializers.Serializer[Any]):
    symbol = serializers.CharField(max_length=32)
    direction = serializers.ChoiceField(choices=[one.value for one in AlertDirection])
    price = NumberField(help_text="On the price tick of the symbol.")
    repeat = serializers.ChoiceField(
        choices=[one.value for one in AlertRepeat], default=AlertRepeat.ONCE.value
    )
    note = serializers.CharField(max_length=NOTE_MAX, required=False, default="", allow_blank=True)


class AlertShape(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    symbol = serializers.CharField()
    direction = serializers.ChoiceField(choices=[one.value for one in AlertDirection])
    price = serializers.CharField()
    repeat = serializers.ChoiceField(choices=[one.value for one in AlertRepeat])
    note = serializers.CharField()
    state = serializers.ChoiceField(choices=[one.value for one in AlertState])
    text = serializers.CharField(help_text="The alert in words, as pages show it.")
    fired_at = serializers.DateTimeField(allow_null=True)
    fired_price = serializers.CharField(allow_null=True, help_text="The price that fired it last.")
    created_at = serializers.DateTimeField()
