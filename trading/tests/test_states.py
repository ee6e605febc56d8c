"""The state machine as data: forward only, and the same end whatever order reports arrive in."""

from itertools import permutations, product

import pytest

from speedtrade.lib.errors import InvariantBroken
from trading.domain.orders import (
    FINAL_STATES,
    OPEN_STATES,
    SENT_STATES,
    TRANSITIONS,
    OrderState,
    check_transition,
    next_state,
    public_status,
)

S = OrderState
ALPACA = {
    "pending_new",
    "accepted",
    "new",
    "held",
    "partially_filled",
    "filled",
    "pending_cancel",
    "canceled",
    "pending_replace",
    "replaced",
    "expired",
    "rejected",
}
#: Reports that no honest broker sends: they must raise, loudly, and change nothing.
LIES = {
    (current, reported)
    for current, reported in product(OPEN_STATES, S)
    if current == S.PENDING  # nobody was told of it, so nobody can report it
    or reported == S.REPLACED  # only a replacement of ours makes this state
    or (reported == S.REJECTED and current == S.PARTIALLY_FILLED)
}
WORKING = {S.ACCEPTED, S.NEW, S.PARTIALLY_FILLED, S.SUSPENDED}


def test_the_table_is_closed():
    assert set(TRANSITIONS) == set(S)
    for targets in TRANSITIONS.values():
        assert targets <= set(S)


def test_open_and_final_states_share_nothing_and_leave_nothing_out():
    assert set(S) == OPEN_STATES | FINAL_STATES
    assert not OPEN_STATES & FINAL_STATES
    assert {S.PENDING} == OPEN_STATES - SENT_STATES


def test_a_final_state_is_left_only_by_a_late_fill_or_by_what_was_given_up_and_is_there():
    ways_out = {(old, new) for old in FINAL_STATES for new in TRANSITIONS[old]}
    revived = {(S.REJECTED, new) for new in TRANSITIONS[S.REJECTED]}
    revived |= {(S.CANCELED, new) for new in WORKING | {S.PENDING_CANCEL}}
    assert ways_out - revived == {(S.CANCELED, S.FILLED), (S.EXPIRED, S.FILLED)}
    for reported in S:
        for filled in (True, False):
            told = {"filled": filled, "some": filled}
            assert next_state(S.REJECTED, reported, **told) == S.REJECTED, "a refusal is final"
    for reported in TRANSITIONS[S.REJECTED] | {S.PENDING_CANCEL, S.PENDING_REPLACE}:
        after = next_state(S.REJECTED, reported, filled=False, some=False, absent=True)
        assert after in TRANSITIONS[S.REJECTED]
    assert next_state(S.REJECTED, S.NEW, filled=False, some=False, absent=True) == S.NEW
    for reported, some in product(S, (True, False)):
        assert next_state(S.CANCELED, reported, filled=False, some=some) == S.CANCELED
        after = next_state(S.CANCELED, reported, filled=False, some=some, absent=True)
        works = reported in WORKING | {S.PENDING_CANCEL, S.PENDING_REPLACE}
        assert after in WORKING if works else after == S.CANCELED


def test_every_open_state_can_reach_an_end():
    for state in OPEN_STATES:
        reached, edge = {state}, {state}
        while edge:
            edge = set().union(*(TRANSITIONS[one] for one in edge)) - reached
            reached |= edge
        assert reached & FINAL_STATES, f"{state} never ends"


@pytest.mark.parametrize("old, new", list(product(S, S)))
def test_only_moves_of_the_table_are_made(old: OrderState, new: OrderState):
    if old == new or new in TRANSITIONS[old]:
        check_transition(old, new)
    else:
        with pytest.raises(InvariantBroken):
            check_transition(old, new)


@pytest.mark.parametrize("current", list(S))
def test_a_report_moves_an_order_forward_or_not_at_all(current: OrderState):
    for reported, filled, some in product(S, (False, True), (False, True)):
        if filled and not some:
            continue
        new = next_state(current, reported, filled=filled, some=some)
        if new == current:
            continue
        if current in FINAL_STATES:
            assert current in {S.CANCELED, S.EXPIRED} and new == S.FILLED
        elif (current, reported) not in LIES:
            check_transition(current, new)
            assert new not in {S.PENDING, S.SUBMITTING, S.LOST}, "a report never unsends"
        if new == S.FILLED:
            assert filled, "filled is what our fills say, not what a report says"
        if current == S.PARTIALLY_FILLED:
            assert new not in {S.ACCEPTED, S.NEW}


@pytest.mark.parametrize("state", [S.PENDING_CANCEL, S.PENDING_REPLACE])
@pytest.mark.parametrize("reported", [S.ACCEPTED, S.NEW, S.PARTIALLY_FILLED, S.SUSPENDED])
def test_a_working_order_that_is_asked_to_go_stays_asked(state: OrderState, reported: OrderState):
    assert next_state(state, reported, filled=False, some=True) == state


@pytest.mark.parametrize("current", sorted(OPEN_STATES - {S.PENDING}))
def test_a_rest_that_is_refused_ends_the_order_and_keeps_what_filled(current: OrderState):
    new = next_state(current, S.REJECTED, filled=False, some=True)
    assert new == S.CANCELED
    check_transition(current, new)


def test_a_refusal_is_never_turned_into_a_purchase():
    assert next_state(S.REJECTED, S.FILLED, filled=True, some=True) == S.REJECTED
    assert next_state(S.REPLACED, S.FILLED, filled=True, some=True) == S.REPLACED


def test_the_public_words_are_alpacas():
    assert {public_status(state) for state in S} == ALPACA
    assert public_status(S.LOST) == "pending_new"  # nobody knows yet: never "rejected"


# ── reports in any order ─────────────────────────────────────────────────────
Report = tuple[OrderState, frozenset[str]]
ALL = frozenset({"f1", "f2", "f3"})


def report(state: OrderState, *fills: str) -> Report:
    return state, frozenset(fills)


STORIES: dict[str, tuple[OrderState, list[Report], OrderState]] = {
    # (where it starts, what the broker reports in time, where it must end)
    "filled in three": (
        S.SUBMITTING,
        [
            report(S.ACCEPTED),
            report(S.NEW),
            report(S.PARTIALLY_FILLED, "f1"),
            report(S.PARTIALLY_FILLED, "f1", "f2"),
            report(S.FILLED, "f1", "f2", "f3"),
        ],
        S.FILLED,
    ),
    "canceled with one fill": (
        S.SUBMITTING,
        [
            report(S.ACCEPTED),
            report(S.NEW),
            report(S.PARTIALLY_FILLED, "f1"),
            report(S.PENDING_CANCEL, "f1"),
            report(S.CANCELED, "f1"),
        ],
        S.CANCELED,
    ),
    "canceled, then the fill that was under way": (
        S.PENDING_CANCEL,
        [
            report(S.NEW),
            report(S.PARTIALLY_FILLED, "f1"),
            report(S.CANCELED, "f1"),
            report(S.CANCELED, "f1", "f2"),
            report(S.FILLED, "f1", "f2", "f3"),
        ],
        S.FILLED,
    ),
    "the cancel lost to the fill": (
        S.PENDING_CANCEL,
        [report(S.NEW), report(S.FILLED, "f1", "f2", "f3")],
        S.FILLED,
    ),
    "expired with two fills": (
        S.SUBMITTING,
        [
            report(S.NEW),
            report(S.PARTIALLY_FILLED, "f1"),
            report(S.PARTIALLY_FILLED, "f1", "f2"),
            report(S.EXPIRED, "f1", "f2"),
        ],
        S.EXPIRED,
    ),
    "rejected": (S.SUBMITTING, [report(S.ACCEPTED), report(S.REJECTED)], S.REJECTED),
    "found after it was lost": (
        S.LOST,
        [report(S.NEW), report(S.PARTIALLY_FILLED, "f3"), report(S.CANCELED, "f3")],
        S.CANCELED,
    ),
    "suspended for a while": (
        S.SUBMITTING,
        [
            report(S.ACCEPTED),
            report(S.SUSPENDED),
            report(S.NEW),
            report(S.PARTIALLY_FILLED, "f1"),
            report(S.FILLED, "f1", "f2", "f3"),
        ],
        S.FILLED,
    ),
}


def ends(start: OrderState, reports: list[Report]) -> tuple[OrderState, frozenset[str]]:
    """State and fills after these reports, applied as the books apply them."""
    state, fills = start, frozenset[str]()
    for reported, told in reports:
        fills |= told
        new = next_state(state, reported, filled=fills == ALL, some=bool(fills))
        check_transition(state, new)
        state = new
    return state, fills


@pytest.mark.parametrize("story", STORIES)
def test_reports_end_the_same_in_every_order_and_repeated(story: str):
    start, reports, expected = STORIES[story]
    everything = frozenset().union(*(fills for _, fills in reports))
    for repeated in (None, *reports):
        told = reports if repeated is None or len(reports) >= 6 else [*reports, repeated]
        for shuffled in permutations(told):
            assert ends(start, list(shuffled)) == (expected, everything), shuffled


@pytest.mark.parametrize("story", STORIES)
def test_the_last_report_alone_tells_the_whole_story(story: str):
    start, reports, expected = STORIES[story]
    assert ends(start, [reports[-1]])[0] == expected


@pytest.mark.parametrize(
    "current, some, expected",
    [
        (S.SUBMITTING, False, S.NEW),
        (S.SUBMITTING, True, S.PARTIALLY_FILLED),
        (S.LOST, True, S.PARTIALLY_FILLED),
        (S.ACCEPTED, False, S.ACCEPTED),
        (S.ACCEPTED, True, S.PARTIALLY_FILLED),
        (S.NEW, True, S.PARTIALLY_FILLED),
        (S.SUSPENDED, True, S.SUSPENDED),
        (S.PENDING_CANCEL, True, S.PENDING_CANCEL),
    ],
)
def test_an_order_whose_last_fills_are_on_their_way_waits_for_them(
    current: OrderState, some: bool, expected: OrderState
):
    assert next_state(current, S.FILLED, filled=False, some=some) == expected


def test_a_step_that_there_is_not_is_named():
    with pytest.raises(InvariantBroken, match="an order cannot go from filled to new"):
        check_transition(S.FILLED, S.NEW)
