"""What the doors read of alerts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Case, IntegerField, Q, QuerySet, Value, When

from marketdata import quote_store
from marketdata.alert_words import REPEAT_WORDS, condition_text, fired_text
from marketdata.domain.alerts import AlertRepeat, AlertState, Watch
from marketdata.domain.quotes import Quote
from marketdata.models import Alert, AlertFiring, Instrument
from speedtrade.lib.errors import NotFound
from speedtrade.lib.money import percent, plain

WATCHED = Q(state=AlertState.WAITING) | Q(state=AlertState.FIRED, repeat=AlertRepeat.EVERY)


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert, the last price and how far the one is from the other, in per cent."""

    alert: Alert
    last: Decimal | None
    away_pct: Decimal | None

    @property
    def words(self) -> str:
        """'AAPL rises above $190.00'."""
        return condition_text(self.alert.instrument, self.alert.direction, self.alert.price)

    @property
    def repeat_words(self) -> str:
        """'Every time'."""
        return REPEAT_WORDS[AlertRepeat(self.alert.repeat)].capitalize()


@dataclass(frozen=True, slots=True)
class FiringLine:
    """A line of the log."""

    instrument: Instrument
    at: datetime
    note: str
    text: str


def alerts_of(user: Any) -> QuerySet[Alert]:
    """The user's alerts with their instruments; what waits first, then by symbol and level."""
    place = Case(
        When(state=AlertState.WAITING, then=0),
        When(state=AlertState.FIRED, then=1),
        default=Value(2),
        output_field=IntegerField(),
    )
    rows = Alert.objects.filter(user=user).select_related("instrument")
    return rows.order_by(place, "instrument__symbol", "-price", "id")


def alert_get(user: Any, alert_id: int, rows: QuerySet[Alert] | None = None) -> Alert:
    """One alert of the user, of `rows` if given; NotFound for anybody else's."""
    chosen = Alert.objects.select_related("instrument") if rows is None else rows
    found = chosen.filter(user=user, pk=alert_id).first()
    if found is None:
        raise NotFound("There is no such alert.")
    return found


def alert_rows(user: Any, instrument: Instrument | None = None) -> list[AlertRow]:
    """All alerts of the user, or those of one symbol, beside the last prices."""
    alerts = alerts_of(user)
    found = list(alerts.filter(instrument=instrument) if instrument else alerts)
    quotes = quote_store.quotes_get(sorted({alert.instrument.symbol for alert in found}))
    return [_row(alert, quotes) for alert in found]


def _row(alert: Alert, quotes: Mapping[str, Quote]) -> AlertRow:
    quote = quotes.get(alert.instrument.symbol)
    if quote is None:
        return AlertRow(alert, None, None)
    return AlertRow(alert, quote.last, percent(abs(alert.price - quote.last), quote.last))


def alert_marks(user: Any, instrument: Instrument) -> list[dict[str, Any]]:
    """The levels that a chart draws: alerts that wait, as exact text."""
    waiting = alerts_of(user).filter(instrument=instrument, state=AlertState.WAITING)
    return [
        {"id": alert.pk, "direction": alert.direction, "price": plain(alert.price, 2)}
        for alert in waiting[: settings.CHART_ALERTS]
    ]


def firings_of(user: Any) -> QuerySet[AlertFiring]:
    """What the user's alerts have said, the newest first."""
    rows = AlertFiring.objects.filter(user=user).select_related("instrument")
    return rows.order_by("-at", "-id")


def firing_lines(user: Any) -> list[FiringLine]:
    """The newest of them, in words."""
    return [
        FiringLine(
            row.instrument,
            row.at,
            row.note,
            fired_text(row.instrument, row.direction, row.level, row.price),
        )
        for row in firings_of(user)[: settings.ALERTS_LOG]
    ]


def watches_all() -> list[Watch]:
    """What the feed has to look out for: the alerts of everybody who may log in."""
    rows = Alert.objects.filter(WATCHED, user__is_active=True).order_by("id")
    return [
        watch_of(*row)
        for row in rows.values_list(
            "pk", "instrument__symbol", "direction", "price", "repeat", "state", "fired_at"
        ).iterator(chunk_size=2000)
    ]


def watch_of(
    pk: int, symbol: str, direction: str, level: Decimal, repeat: str, state: str, fired_at: Any
) -> Watch:
    """One row of `watches_all`."""
    repeats = repeat == AlertRepeat.EVERY
    quiet = fired_at + settings.ALERT_QUIET if repeats and fired_at else None
    armed = state == AlertState.WAITING
    return Watch(pk, symbol, direction, level, repeats, armed=armed, quiet_until=quiet)
