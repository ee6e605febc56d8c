"""What can be connected and what has an adapter are the same."""

from django.conf import settings

from accounts.services.offers import NOT_YET
from trading.brokers.capabilities import EXCHANGES
from trading.brokers.ccxt.venues import VENUES


def test_the_exchanges_on_offer_are_those_that_trading_knows():
    """Fails where one is offered whose accounts are kept in what nothing is listed for."""
    assert set(EXCHANGES) == set(VENUES) == {*settings.CCXT_EXCHANGES, *NOT_YET}
    for name, venue in VENUES.items():
        offered = name in settings.CCXT_EXCHANGES
        assert offered == (venue.currency == settings.FEED_CURRENCY) == (name not in NOT_YET)


def test_paper_is_offered_where_the_adapter_has_a_market_for_it():
    """Fails with an exchange on the list whose paper account could only ever be in error."""
    assert set(settings.CCXT_TEST_MARKETS) == {name for name, v in VENUES.items() if v.sandbox}
