"""The exchange's calendar against published facts, and hours of markets that never close."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.domain import calendar
from marketdata.domain.calendar import MarketHours

# As the exchange published them: (month, day).
HOLIDAYS = {
    2023: "1/2 1/16 2/20 4/7 5/29 6/19 7/4 9/4 11/23 12/25",
    2024: "1/1 1/15 2/19 3/29 5/27 6/19 7/4 9/2 11/28 12/25",
    2025: "1/1 1/9 1/20 2/17 4/18 5/26 6/19 7/4 9/1 11/27 12/25",
    2026: "1/1 1/19 2/16 4/3 5/25 6/19 7/3 9/7 11/26 12/25",
}
EARLY_CLOSES = {
    2023: "7/3 11/24",
    2024: "7/3 11/29 12/24",
    2025: "7/3 11/28 12/24",
    2026: "11/27 12/24",
}
SESSIONS = {2023: 250, 2024: 252, 2025: 250, 2026: 251}

moments = st.integers(0, 28 * 365 * 86400).map(
    lambda seconds: datetime(2012, 6, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


def days_of(facts: str, year: int) -> set[date]:
    return {date(year, int(m), int(d)) for m, d in (fact.split("/") for fact in facts.split())}


@pytest.mark.parametrize("year", HOLIDAYS)
def test_the_year_is_closed_on_exactly_its_published_holidays(year):
    sessions = calendar.sessions_between(date(year, 1, 1), date(year, 12, 31))
    open_days = {session.day for session in sessions}
    weekdays = {
        day
        for n in range(366)
        if (day := date(year, 1, 1) + timedelta(days=n)).year == year and day.weekday() < 5
    }
    assert weekdays - open_days == days_of(HOLIDAYS[year], year)
    assert len(sessions) == SESSIONS[year]


@pytest.mark.parametrize("year", EARLY_CLOSES)
def test_the_year_closes_early_on_exactly_its_published_days(year):
    sessions = calendar.sessions_between(date(year, 1, 1), date(year, 12, 31))
    short = {s.day for s in sessions if s.close - s.open < timedelta(hours=6.5)}
    assert short == days_of(EARLY_CLOSES[year], year)
    assert {s.close - s.open for s in sessions if s.day in short} == {timedelta(hours=3.5)}


@pytest.mark.parametrize(
    "day",
    [date(2012, 10, 29), date(2012, 10, 30), date(2018, 12, 5), date(2025, 1, 9)],
)
def test_days_of_storm_and_mourning_are_closed(day):
    assert calendar.session_on(day) is None


@pytest.mark.parametrize(
    ("day", "is_open"),
    [
        (date(2021, 6, 18), True),  # Juneteenth was not yet kept
        (date(2022, 6, 20), False),  # … and is now, on the Monday after a Sunday
        (date(2021, 12, 31), True),  # New Year on a Saturday is not moved
        (date(2021, 12, 24), False),  # Christmas on a Saturday is
        (date(2023, 1, 2), False),
    ],
)
def test_observation_rules_hold_at_their_edges(day, is_open):
    assert (calendar.session_on(day) is not None) is is_open


def test_opening_follows_new_york_through_summer_time():
    winter = calendar.session_on(date(2026, 3, 6))
    summer = calendar.session_on(date(2026, 3, 9))
    assert winter.open == datetime(2026, 3, 6, 14, 30, tzinfo=UTC)
    assert summer.open == datetime(2026, 3, 9, 13, 30, tzinfo=UTC)


def test_a_session_holds_its_open_and_not_its_close():
    session = calendar.session_on(date(2026, 11, 27))
    assert session.close == datetime(2026, 11, 27, 18, 0, tzinfo=UTC)
    assert calendar.session_at(session.open) == session
    assert calendar.session_at(session.close - timedelta(microseconds=1)) == session
    assert calendar.session_at(session.close) is None
    assert calendar.previous_session(session.close) == session
    assert calendar.next_session(session.open).day == date(2026, 11, 30)


@given(moments)
def test_previous_current_and_next_sessions_never_overlap(now):
    before, current, after = (
        calendar.previous_session(now),
        calendar.session_at(now),
        calendar.next_session(now),
    )
    assert before.close <= now < after.open
    between = calendar.sessions_between(before.day, after.day)
    assert between == [before, *([current] if current else []), after]


@given(moments)
def test_stock_hours_of_the_exchange_agree_with_each_other(now):
    hours = MarketHours("nyse")
    session = hours.session_for("stock", now)
    assert hours.is_open("stock", now) == (session.open <= now < session.close)
    assert session.open <= now
    assert hours.next_open("stock", now) > now
    assert hours.next_close("stock", now) > now
    if hours.is_open("stock", now):
        assert hours.next_close("stock", now) == session.close
    else:
        assert hours.next_close("stock", now) > hours.next_open("stock", now)
    assert hours.session_before("stock", session).close < session.open


@pytest.mark.parametrize(("mode", "asset_type"), [("always", "stock"), ("nyse", "crypto")])
@given(now=moments)
def test_markets_that_never_close_have_the_utc_day_as_their_session(mode, asset_type, now):
    hours = MarketHours(mode)
    session = hours.session_for(asset_type, now)
    assert session.day == now.date()
    assert session.open <= now < session.close == session.open + timedelta(days=1)
    assert hours.is_open(asset_type, now)
    assert hours.next_open(asset_type, now) == hours.next_close(asset_type, now) == session.close
    assert hours.session_before(asset_type, session).close == session.open


def test_sessions_are_counted_per_asset_type():
    hours = MarketHours("nyse")
    week = date(2026, 11, 23), date(2026, 11, 29)
    assert [s.day.day for s in hours.sessions("stock", *week)] == [23, 24, 25, 27]
    assert len(hours.sessions("crypto", *week)) == 7
    assert hours.session_on("stock", date(2026, 11, 26)) is None
    assert hours.session_on("crypto", date(2026, 11, 26)).day == date(2026, 11, 26)


def test_a_moment_without_a_time_zone_is_refused():
    naive = datetime(2026, 1, 5, 15, 0)  # noqa: DTZ001 - that is the point
    for call in (calendar.session_at, calendar.next_session, calendar.previous_session):
        with pytest.raises(ValueError, match="time zone"):
            call(naive)
    with pytest.raises(ValueError, match="time zone"):
        MarketHours("always").session_for("crypto", naive)


def test_unknown_hours_are_refused():
    with pytest.raises(ValueError, match="always or nyse"):
        MarketHours("sometimes")


@pytest.mark.parametrize(
    "now, phase",
    [
        ("2026-11-25T08:59", "closed"),  # 3:59 in New York
        ("2026-11-25T09:00", "pre"),
        ("2026-11-25T14:29", "pre"),
        ("2026-11-25T14:30", "open"),
        ("2026-11-25T20:59", "open"),
        ("2026-11-25T21:00", "after"),
        ("2026-11-26T00:59", "after"),
        ("2026-11-26T01:00", "closed"),
        ("2026-11-26T15:00", "closed"),  # Thanksgiving
        ("2026-11-27T18:00", "after"),  # the early close of the day after
        ("2026-11-27T22:00", "closed"),  # and the early end after it
        ("2026-11-28T15:00", "closed"),  # a Saturday
        ("2026-07-06T08:00", "pre"),  # in summer four o'clock comes an hour earlier
    ],
)
def test_a_day_of_the_exchange_has_its_phases(now, phase):
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert MarketHours("nyse").phase("stock", moment) == phase
    assert MarketHours("nyse").phase("crypto", moment) == "open"
    assert MarketHours("always").phase("stock", moment) == "open"


@given(moments)
def test_the_phase_is_open_exactly_while_the_market_is(now):
    hours = MarketHours("nyse")
    assert (hours.phase("stock", now) == "open") is hours.is_open("stock", now)
