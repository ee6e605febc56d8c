"""How often sockets are sent to, where there is the processor for it and where there is not."""

from datetime import timedelta

import pytest

from marketdata.pace import LATE, ON_TIME, PER_SOCKET, Pace

TURNS = 20


@pytest.fixture
def pace(settings):
    settings.WS_FLUSH_PERIOD = timedelta(milliseconds=100)
    settings.WS_FLUSH_LONGEST = timedelta(milliseconds=250)
    return Pace(TURNS)


def rounds(pace, count, late, readers=10):
    """So many rounds with turns so late; the length of the one that follows, in milliseconds."""
    for _ in range(count * TURNS):
        pace.heard(late)
    return round(pace.between(readers) * TURNS * 1000)


def test_a_round_is_as_short_as_is_wished_while_turns_are_on_time(pace):
    assert rounds(pace, 50, ON_TIME / 2) == 100
    assert rounds(pace, 50, (ON_TIME + LATE) / 2) == 100, "a little late is no reason"
    assert round(pace.between(3_000) * TURNS, 9) == 3_000 * PER_SOCKET


def test_late_turns_make_rounds_longer_up_to_a_limit_and_back(pace):
    assert rounds(pace, 1, 2 * LATE) == 125
    assert rounds(pace, 50, 2 * LATE) == 250
    assert 200 < rounds(pace, 3, 0) < 250, "the way back is the slower one"
    assert rounds(pace, 50, 0) == 100


def test_one_late_turn_of_a_round_is_no_lack_of_the_processor(pace):
    for turn in range(10 * TURNS):
        pace.heard(TURNS * LATE / 2 if turn % TURNS == 0 else 0)
    assert rounds(pace, 0, 0) == 100


def test_what_is_wished_may_be_longer_than_the_limit(pace):
    assert rounds(pace, 50, 2 * LATE, readers=5_000) == 500
