"""The bars of vendors as everybody reads them: from the table, which the feed process fills.

Whoever reads says through Redis which ranges are missing, waits a moment at most, and shows what
there is. The web process never speaks to a vendor, and never pays for a vendor's library.

- list `st:bars:wanted:<feed>`: JSON of a question, oldest at its end;
- key `st:bars:asked:<question>`: asked, done or failed; while it lives nobody asks again.
"""

import json
import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.db import connection
from redis.exceptions import RedisError

from marketdata import quote_store
from marketdata.domain import bars as domain
from marketdata.hours import market_hours
from marketdata.models import Bar, Instrument
from speedtrade.lib.prepared import prepared_cursor
from speedtrade.lib.redis import redis_client

logger = logging.getLogger(__name__)

WANTED: Final = "st:bars:wanted:"
ASKED: Final = "st:bars:asked:"
ASKED_STATE, DONE, FAILED = "asked", "done", "failed"
#: Questions that wait for one feed; the oldest beyond are dropped, and asked again by who cares.
WANTED_MAX: Final = 200
#: A series whose end is younger than this is worth showing before the rest has come.
SHOWN: Final = timedelta(minutes=15)
#: After the close a vendor still adds its last minute and the day's close.
SETTLED: Final = timedelta(minutes=15)
LOOK_EVERY: Final = 0.05
DONE_KEPT: Final = 1000  # milliseconds in which those who wait see it
#: So many threads of a process wait for bars at once; the others show what there is.
_waiting = threading.BoundedSemaphore(3)


class BarRun(list[domain.Bar]):
    """Bars, oldest first. `loading`: some of the range are on their way."""

    loading = False

    def lines(self) -> "BarLines":
        """The same as JSON."""
        made = BarLines(",".join(map(domain.bar_to_wire, self)))
        made.loading = self.loading
        return made


class BarLines(str):
    """Bars as JSON, oldest first, with commas between; `loading` as of a BarRun."""

    loading = False


@dataclass(frozen=True, slots=True)
class Range:
    """The newest `limit` bars of an instrument that begin in [start, end]."""

    instrument: Instrument
    timeframe: str
    start: datetime | None
    end: datetime
    limit: int


@dataclass(frozen=True, slots=True)
class Question:
    """Bars that somebody misses; `begin` in unix seconds, up to the present."""

    symbol: str
    timeframe: str
    begin: int

    @property
    def key(self) -> str:
        return f"{ASKED}{self.symbol}:{self.timeframe}:{self.begin}"


def bars_read(wanted: Range, *, now: datetime, wait: bool = True) -> BarRun:
    """Bars of the table, after asking for what it lacks."""
    loading = _asked_for(wanted, now, wait=wait)
    run = BarRun(
        domain.Bar(t.replace(tzinfo=UTC), *numbers) for t, *numbers in _newest(_NEWEST, wanted)
    )
    run.reverse()
    run.loading = loading
    return run


def bars_written(wanted: Range, *, now: datetime, wait: bool = True) -> BarLines:
    """The same as JSON, which PostgreSQL writes: two thirds of the time went into rows of ours."""
    loading = _asked_for(wanted, now, wait=wait)
    lines = BarLines(_newest(_WRITTEN, wanted)[0][0] or "")
    lines.loading = loading
    return lines


def _newest(statement: str, wanted: Range) -> list[Any]:
    begin = wanted.start or _EVER
    with prepared_cursor() as cursor:
        cursor.execute(
            statement,
            [wanted.instrument.pk, wanted.timeframe, begin, wanted.end, wanted.limit],
        )
        found: list[Any] = cursor.fetchall()
    return found


_EVER: Final = datetime.min.replace(tzinfo=UTC)
#: Plain SQL: what models make of hundreds of rows costs as much as reading them, and so does
#: what Django makes of each time with a zone.
_NEWEST = """
    SELECT t AT TIME ZONE 'UTC', o, h, l, c, v FROM marketdata_bar
    WHERE instrument_id = %s AND timeframe = %s AND t BETWEEN %s AND %s ORDER BY t DESC LIMIT %s
"""
#: Each line as domain.bar_to_wire writes it; %% is a percent sign of format().
_WRITTEN = f"""
    SELECT string_agg(
        format(
            '{{"t":"%%s","o":"%%s","h":"%%s","l":"%%s","c":"%%s","v":"%%s"}}',
            to_char(t, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), o, h, l, c, v
        ), ',' ORDER BY t
    ) FROM ({_NEWEST}) AS newest (t, o, h, l, c, v)
"""  # noqa: S608  # nosec B608 - a statement of ours within another


def question_next(feed: str, seconds: int) -> Question | None:
    """The oldest question for a feed, waiting so long for one; raises RedisError."""
    found = redis_client().brpop([WANTED + feed], timeout=seconds)
    if not found:
        return None
    try:
        raw = json.loads(found[1])
        return Question(str(raw["symbol"]), str(raw["timeframe"]), int(raw["begin"]))
    except (ValueError, KeyError, TypeError):
        logger.warning("bars_question_unreadable", extra={"start": found[1][:80]})
        return None


def question_answered(question: Question, *, well: bool) -> None:
    """Tell those who wait. What failed is not asked again before its time."""
    client = redis_client()
    if well:
        client.set(question.key, DONE, px=DONE_KEPT)
    else:
        client.set(question.key, FAILED, keepttl=True, xx=True)


def _begin(wanted: Range) -> datetime:
    """Where `limit` bars before the end begin, by the sessions of the market."""
    hours, length = market_hours(), domain.timeframe_seconds(wanted.timeframe)
    kind, end = wanted.instrument.asset_type, wanted.end
    session = hours.session_for(kind, end)
    left = wanted.limit
    while True:
        seconds = (min(session.close, max(end, session.open)) - session.open).total_seconds()
        left -= -(-int(seconds) // length) or 1
        if left <= 0 or session.open < end - settings.BARS_KEPT[wanted.timeframe]:
            return session.open
        session = hours.session_before(kind, session)


def _asked_for(wanted: Range, now: datetime, *, wait: bool) -> bool:
    """Ask for what is missing, wait where the page would be poor without; whether it still is."""
    instrument, timeframe, end = wanted.instrument, wanted.timeframe, wanted.end
    begin = max(wanted.start or _begin(wanted), now - settings.BARS_KEPT[timeframe])
    if begin > end:
        return False
    series = _series_of(instrument, timeframe)
    if series is not None and begin >= series.begins and _up_to_date(instrument, series, end, now):
        return False
    day = begin.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    question = Question(instrument.symbol, timeframe, int(day.timestamp()))
    poor = series is None or begin < series.begins or min(end, now) - series.ends > SHOWN
    try:
        state = _ask(instrument.feed, question)
        if wait and poor and state == ASKED_STATE and _feed_lives(now):
            state = _wait(question)
    except RedisError:
        logger.warning("bars_not_asked_for", extra={"symbol": instrument.symbol})
        return poor
    return poor and state != DONE


class _Series(NamedTuple):
    """What of a series was fetched."""

    begins: datetime
    ends: datetime


def _series_of(instrument: Instrument, timeframe: str) -> _Series | None:
    with connection.cursor() as cursor:
        cursor.execute(_SERIES, [instrument.pk, timeframe])
        row = cursor.fetchone()
    return _Series(*row) if row else None


_SERIES = """
    SELECT begins, ends FROM marketdata_barseries WHERE instrument_id = %s AND timeframe = %s
"""


def _up_to_date(instrument: Instrument, series: _Series, end: datetime, now: datetime) -> bool:
    """Whether nothing that begins up to `end` can have happened since the series was fetched."""
    if series.ends >= end or now - series.ends <= settings.BARS_FRESH:
        return True
    session = market_hours().session_for(instrument.asset_type, now)
    return session.close + SETTLED <= series.ends


def _ask(feed: str, question: Question) -> str:
    """Put the question, unless it was put a moment ago; its state."""
    client, again = redis_client(), settings.BARS_ASK_AGAIN
    if not client.set(question.key, ASKED_STATE, nx=True, px=int(again.total_seconds() * 1000)):
        return client.get(question.key) or DONE
    pipeline = client.pipeline(transaction=False)
    pipeline.lpush(WANTED + feed, json.dumps(asdict(question)))
    pipeline.ltrim(WANTED + feed, 0, WANTED_MAX - 1)
    pipeline.execute()
    return ASKED_STATE


def _wait(question: Question) -> str:
    """Look until the question is answered, for settings.BARS_WAIT since it was put at most."""
    if not _waiting.acquire(blocking=False):
        return ASKED_STATE
    try:
        client = redis_client()
        again, patience = settings.BARS_ASK_AGAIN, settings.BARS_WAIT
        put_ago = again.total_seconds() - max(0, client.pttl(question.key)) / 1000
        deadline = time.monotonic() + patience.total_seconds() - put_ago
        while (state := client.get(question.key) or DONE) == ASKED_STATE:
            if time.monotonic() >= deadline:
                return ASKED_STATE
            time.sleep(LOOK_EVERY)
        return state
    finally:
        _waiting.release()


def _feed_lives(now: datetime) -> bool:
    beat = quote_store.feed_heartbeat()
    return beat is not None and now - beat <= settings.HEALTH_FEED_AGE


def bars_of(rows: Iterable[domain.Bar], instrument: Instrument, timeframe: str) -> list[Bar]:
    """Rows for the table."""
    return [
        Bar(
            instrument=instrument,
            timeframe=timeframe,
            t=row.t,
            o=row.o,
            h=row.h,
            l=row.l,
            c=row.c,
            v=row.v,
        )
        for row in rows
    ]
