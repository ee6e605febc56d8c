"""Every adapter against every case of the matrix, and the table of the docs against the code."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command

from trading.brokers.conformance import CASES, Case, Failed, NotHere, capability_table
from trading.tests.harnesses import AlpacaHarness, PaperHarness

#: Cases that a vendor cannot show; any other that is not shown is a hole in its harness.
PAPER_HAS_NO = {
    "what_cannot_be_paid_is_refused_in_a_sentence",
    "an_order_from_elsewhere_comes_with_its_terms",
    "a_lost_answer_is_unknown_and_found",
    "a_gateways_answer_is_unknown_and_found",
    "half_an_answer_is_unknown_and_found",
    "no_answer_in_a_good_one_is_unknown_and_found",
    "a_lost_request_is_not_taken_for_sent_or_refused",
    "nobody_listens_is_proof_that_nothing_was_sent",
    "too_many_requests_are_not_sent",
    "a_broken_look_is_no_word_at_all",
    "an_order_that_is_not_seen_at_first",
    "a_wrong_key_is_told_in_words",
    "holdings_follow_fills_and_deposits",
    "money_that_comes_in_is_told_once",
}


@pytest.fixture
def paper(desk: Any) -> PaperHarness:
    return PaperHarness(desk.account.pk, desk.instrument().pk)


@pytest.fixture
def alpaca(settings: Any) -> Any:
    from speedtrade.testing.vendors.alpaca import AlpacaVendor

    with AlpacaVendor() as vendor:
        settings.ALPACA_TRADING_URL = vendor.url
        yield AlpacaHarness(vendor)
        assert vendor.drift == []


def shows(case: Case, harness: Any, absent: set[str]) -> None:
    try:
        case(harness)
    except NotHere:
        assert case.__name__ in absent
    else:
        assert case.__name__ not in absent


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_paper(paper, case):
    shows(case, paper, PAPER_HAS_NO)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_alpaca(alpaca, case):
    shows(case, alpaca, set())


def test_the_matrix_finds_an_adapter_that_lies(alpaca, monkeypatch):
    monkeypatch.setattr(alpaca.broker, "find_order", lambda ref: None)
    with pytest.raises(Failed):
        CASES["an_order_is_found_by_its_client_id"](alpaca)


def test_the_docs_print_the_table(capsys):
    call_command("broker_capabilities")
    assert capsys.readouterr().out == capability_table()
    page = Path(django_settings.BASE_DIR) / "docs" / "concepts" / "broker.md"
    assert capability_table() in page.read_text()
