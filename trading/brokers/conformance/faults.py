"""What an adapter makes of a line that breaks."""

from trading.brokers.base import NotSent, OutcomeUnknown, RateLimited
from trading.brokers.conformance.harness import (
    WORKING,
    FaultName,
    Harness,
    case,
    expect,
    expect_raises,
    found_by,
)


def _taken_but_unknown(harness: Harness, fault: FaultName) -> None:
    asked = harness.request()
    harness.fault(fault)
    expect_raises(OutcomeUnknown, lambda: harness.broker.submit_order(asked))
    expect(harness.count(asked.client_order_id) == 1, "the vendor has not one order")
    expect(found_by(harness, asked).state in WORKING, "it is found in another state")


@case
def a_lost_answer_is_unknown_and_found(harness: Harness) -> None:
    _taken_but_unknown(harness, "answer_lost")


@case
def a_gateways_answer_is_unknown_and_found(harness: Harness) -> None:
    _taken_but_unknown(harness, "gateway")


@case
def half_an_answer_is_unknown_and_found(harness: Harness) -> None:
    _taken_but_unknown(harness, "garbage")


@case
def no_answer_in_a_good_one_is_unknown_and_found(harness: Harness) -> None:
    _taken_but_unknown(harness, "empty")


@case
def a_lost_request_is_not_taken_for_sent_or_refused(harness: Harness) -> None:
    asked = harness.request()
    harness.fault("request_lost")
    expect_raises((OutcomeUnknown, NotSent), lambda: harness.broker.submit_order(asked))
    expect(harness.count(asked.client_order_id) == 0, "the vendor has it")
    expect(harness.broker.find_order(harness.ref(asked)) is None, "it is found")


@case
def nobody_listens_is_proof_that_nothing_was_sent(harness: Harness) -> None:
    asked = harness.request()
    harness.down()
    expect_raises(NotSent, lambda: harness.broker.submit_order(asked))
    expect(harness.count(asked.client_order_id) == 0, "the vendor has it")


@case
def too_many_requests_are_not_sent(harness: Harness) -> None:
    asked = harness.request()
    harness.fault("too_many")
    expect_raises(RateLimited, lambda: harness.broker.submit_order(asked))
    expect(harness.count(asked.client_order_id) == 0, "the vendor has it")


@case
def a_broken_look_is_no_word_at_all(harness: Harness) -> None:
    asked = harness.request()
    harness.broker.submit_order(asked)
    harness.fault("read_broken")
    expect_raises(OutcomeUnknown, lambda: harness.broker.find_order(harness.ref(asked)))
    found_by(harness, asked)


@case
def an_order_that_is_not_seen_at_first(harness: Harness) -> None:
    asked = harness.request()
    harness.broker.submit_order(asked)
    harness.fault("hidden")
    expect(harness.broker.find_order(harness.ref(asked)) is None, "the fault did nothing")
    expect(not harness.broker.caps.lookup_is_proof, "a miss is called a proof, and is none")
    found_by(harness, asked)
