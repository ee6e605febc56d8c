"""What can be connected and what has an adapter are the same."""

from django.conf import settings

from trading.brokers.capabilities import EXCHANGES


def test_the_exchanges_on_offer_are_those_that_trading_knows():
    assert set(settings.CCXT_EXCHANGES) == set(EXCHANGES)
    assert set(settings.CCXT_TEST_MARKETS) <= set(settings.CCXT_EXCHANGES)
