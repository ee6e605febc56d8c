"""The feed process fetches the bars that somebody misses, once, and keeps the table small."""

import logging
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection, transaction
from redis.exceptions import RedisError

from marketdata import bar_store
from marketdata.bar_store import Question
from marketdata.domain import bars as domain
from marketdata.domain.bars import TIMEFRAMES
from marketdata.feeds.base import Feed, FeedFailed, VendorFeed
from marketdata.feeds.pacing import Loop
from marketdata.models import Bar, BarSeries, Instrument

logger = logging.getLogger(__name__)

#: A finished bar whose close moved by more than this share was restated: a split.
RESTATED: Final = Decimal("0.01")
BATCH: Final = 1000
#: Seconds that a desk waits for a question before it looks whether it shall stop.
LISTEN: Final = 1
#: What a fetch overlaps with what is there: the bar that was open, and finished ones to compare.
OVERLAP: Final = 3


def bars_fill(
    feed: VendorFeed, instrument: Instrument, timeframe: str, *, begin: datetime, now: datetime
) -> int:
    """Fetch what the series lacks from `begin` to `now` and store it; how many bars came.

    The series stays without holes: it grows at both ends, or starts anew where it ended too long
    ago, or longer ago than the vendor tells: Kraken has no more than its newest 720 bars. A
    finished bar that the vendor tells differently now means that prices were restated: all that
    was stored of the instrument goes, and comes again. Raises FeedFailed.
    """
    begin = max(begin, now - settings.BARS_KEPT[timeframe])
    series = BarSeries.objects.filter(instrument=instrument, timeframe=timeframe).first()
    if series is None or series.ends < begin:
        return _store_anew(feed, instrument, timeframe, begin, now)
    stored = Bar.objects.filter(instrument=instrument, timeframe=timeframe, t__lte=series.ends)
    last = list(stored.order_by("-t")[:OVERLAP])
    tail = _fetched(feed, instrument, timeframe, last[-1].t if last else series.begins, now)
    if tail and last and not _meets(last, tail):
        return _store_anew(feed, instrument, timeframe, begin, now)
    if _restated(last, tail, timeframe, series.ends):
        logger.warning("bars_restated", extra={"symbol": instrument.symbol, "frame": timeframe})
        anew = _store_anew(feed, instrument, timeframe, min(begin, series.begins), now)
        for other in BarSeries.objects.filter(instrument=instrument).exclude(timeframe=timeframe):
            _drop(other)
        return anew
    head: list[domain.Bar] = []
    if begin < series.begins:
        head = _fetched(feed, instrument, timeframe, begin, series.begins)
    begins = min(begin, series.begins)
    return _store(instrument, timeframe, [*head, *tail], begins, now)


def _store_anew(
    feed: VendorFeed, instrument: Instrument, timeframe: str, begin: datetime, now: datetime
) -> int:
    """Fetch the series from `begin`, and forget what it was."""
    rows = _fetched(feed, instrument, timeframe, begin, now)
    return _store(instrument, timeframe, rows, begin, now, anew=True)


def _fetched(
    feed: VendorFeed, instrument: Instrument, timeframe: str, start: datetime, end: datetime
) -> list[domain.Bar]:
    kept = settings.BARS_KEPT[timeframe] // timedelta(seconds=TIMEFRAMES[timeframe]) + 1
    return feed.bars(instrument.symbol, timeframe, start=start, end=end, limit=kept, now=end)


def _meets(last: Sequence[Bar], tail: Sequence[domain.Bar]) -> bool:
    """Whether an answer from `last` on has one of them: a market that rested leaves them in it."""
    return not {bar.t for bar in last}.isdisjoint(bar.t for bar in tail)


def _restated(
    last: Sequence[Bar], tail: Sequence[domain.Bar], timeframe: str, ends: datetime
) -> bool:
    """Whether a bar that was finished when it was stored has another close now."""
    told = {bar.t: bar.c for bar in tail}
    length = timedelta(seconds=TIMEFRAMES[timeframe])
    return any(
        abs(told[bar.t] - bar.c) > bar.c * RESTATED
        for bar in last
        if bar.t in told and bar.t + length <= ends
    )


@transaction.atomic
def _store(
    instrument: Instrument,
    timeframe: str,
    rows: Sequence[domain.Bar],
    begins: datetime,
    ends: datetime,
    *,
    anew: bool = False,
) -> int:
    mine: dict[str, Any] = {"instrument": instrument, "timeframe": timeframe}
    if anew:
        Bar.objects.filter(**mine).delete()
    once = {row.t: row for row in rows}
    Bar.objects.bulk_create(
        bar_store.bars_of(once.values(), instrument, timeframe),
        batch_size=BATCH,
        update_conflicts=True,
        unique_fields=["instrument", "timeframe", "t"],
        update_fields=["o", "h", "l", "c", "v"],
    )
    BarSeries.objects.update_or_create(
        **mine, defaults={"begins": begins, "ends": ends, "asked_at": ends}
    )
    return len(once)


def bars_thin(now: datetime) -> int:
    """Delete what is older than settings keep, unasked for too long, or too much; how many bars."""
    gone = 0
    for series in BarSeries.objects.order_by("pk"):
        oldest = now - settings.BARS_KEPT[series.timeframe]
        if series.asked_at < now - settings.BARS_UNASKED or series.ends < oldest:
            gone += _drop(series)
        elif series.begins < oldest:
            old = Bar.objects.filter(
                instrument=series.instrument_id, timeframe=series.timeframe, t__lt=oldest
            )
            gone += old.delete()[0]
            BarSeries.objects.filter(pk=series.pk).update(begins=oldest)
    over = Bar.objects.count() - settings.BARS_ROWS_MAX
    for series in BarSeries.objects.order_by("asked_at", "pk") if over > 0 else ():
        if over <= 0:
            break
        dropped = _drop(series)
        over -= dropped
        gone += dropped
    return gone


@transaction.atomic
def _drop(series: BarSeries) -> int:
    """The series first: whoever reads in between asks anew."""
    instrument, timeframe = series.instrument_id, series.timeframe
    series.delete()
    return Bar.objects.filter(instrument=instrument, timeframe=timeframe).delete()[0]


class BarsDesk:
    """An aide of the feed process: answers the questions to one vendor, one after the other."""

    def __init__(self, feed: VendorFeed) -> None:
        self._feed = feed
        self._loop = Loop(f"{feed.name}-bars", self._step, first=0.5, longest=10.0)

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        self._loop.stop()

    def _step(self, stop: threading.Event) -> float:
        try:
            question = bar_store.question_next(self._feed.name, LISTEN)
        except RedisError as error:
            raise FeedFailed(f"redis is away: {type(error).__name__}") from error
        if question is not None:
            self._answer(question)
        return 0.0

    def _answer(self, question: Question) -> None:
        well = False
        try:
            close_old_connections()
            rows = Instrument.objects.filter(symbol=question.symbol, feed=self._feed.name)
            instrument = rows.first()
            if instrument is not None and question.timeframe in TIMEFRAMES:
                begin = datetime.fromtimestamp(question.begin, UTC)
                now = datetime.now(UTC)
                bars_fill(self._feed, instrument, question.timeframe, begin=begin, now=now)
            well = True
        except (FeedFailed, DatabaseError) as error:
            words = f"{type(error).__name__}: {error}"[:200]
            logger.warning("bars_failed", extra={"symbol": question.symbol, "error": words})
        finally:
            connection.close()
            bar_store.question_answered(question, well=well)


class BarsKeeper:
    """An aide of the feed process: keeps the table of bars within its limits."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._needed = any(isinstance(feed, VendorFeed) for feed in feeds)
        self._loop = Loop("bars-keeper", self._step, first=10.0, longest=600.0)

    def start(self) -> None:
        if self._needed:
            self._loop.start()

    def stop(self) -> None:
        self._loop.stop()

    def _step(self, stop: threading.Event) -> float:
        close_old_connections()
        try:
            gone = bars_thin(datetime.now(UTC))
        finally:
            connection.close()
        if gone:
            logger.info("bars_thinned", extra={"gone": gone})
        return float(settings.BARS_THIN_PERIOD.total_seconds())
