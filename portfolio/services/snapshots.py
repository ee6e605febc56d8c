"""Write down what accounts are worth, once a minute: the points of the equity curve."""

from datetime import datetime, timedelta

from django.db import connection

from marketdata import quote_store
from portfolio.models import EquitySnapshot

#: One row per account that holds something or whose newest row is no longer true; at `at`, at the
#: given prices.
#: Where a price is only awaited (a feed that starts, a Redis that is away) no row is written: one
#: at cost would stay in the curve as a dip that never was. What nobody prices counts at cost, as
#: on the page: a symbol without a feed, or one that its venue dropped while others have prices.
_SNAPSHOT = """
    INSERT INTO portfolio_equitysnapshot
      (brokerage_account_id, at, cash, positions_value, net_deposits)
    SELECT a.id, %(at)s, cash.balance,
           coalesce((SELECT sum(round(coalesce(p.qty * prices.price, p.cost_basis), 8))
                     FROM portfolio_position p
                     JOIN marketdata_instrument i ON i.id = p.instrument_id
                     LEFT JOIN unnest(%(symbols)s::text[], %(prices)s::numeric[])
                       AS prices(symbol, price) ON prices.symbol = i.symbol
                     WHERE p.brokerage_account_id = a.id AND p.qty > 0), 0),
           -outside.balance
    FROM accounts_brokerageaccount a
    JOIN portfolio_ledgeraccount cash
      ON cash.brokerage_account_id = a.id AND cash.kind = 'cash' AND cash.asset = a.currency
    JOIN portfolio_ledgeraccount outside
      ON outside.brokerage_account_id = a.id AND outside.kind = 'external'
     AND outside.asset = a.currency
    WHERE (%(only)s::bigint IS NULL OR a.id = %(only)s)
      AND NOT EXISTS (SELECT 1 FROM portfolio_position p
                      JOIN marketdata_instrument i ON i.id = p.instrument_id
                      WHERE p.brokerage_account_id = a.id AND p.qty > 0 AND i.feed <> ''
                        AND (i.tradable OR cardinality(%(symbols)s::text[]) = 0)
                        AND NOT i.symbol = ANY(%(symbols)s::text[]))
      AND (EXISTS (SELECT 1 FROM portfolio_position p
                   WHERE p.brokerage_account_id = a.id AND p.qty > 0)
        OR NOT EXISTS (SELECT 1 FROM (
                         SELECT * FROM portfolio_equitysnapshot
                         WHERE brokerage_account_id = a.id ORDER BY at DESC LIMIT 1) s
                       WHERE s.cash = cash.balance AND s.net_deposits = -outside.balance
                         AND s.positions_value = 0 AND s.at > %(at)s - interval '1 day'))
    ON CONFLICT (brokerage_account_id, at) DO UPDATE
      SET cash = excluded.cash, positions_value = excluded.positions_value,
          net_deposits = excluded.net_deposits
"""
KEEP_MINUTES = timedelta(days=8)  # older points thin out to one in fifteen minutes
THINNED_TO = 15


def equity_snapshot(*, now: datetime, account_id: int | None = None) -> int:
    """Snapshot every account that can have changed (or one); how many rows were written.

    Harmless twice: a minute has one row per account.
    """
    quotes = quote_store.quotes_all()
    fresh = [quote for quote in quotes.values() if quote.last > 0]
    with connection.cursor() as cursor:
        cursor.execute(
            _SNAPSHOT,
            {
                "at": now.replace(second=0, microsecond=0),
                "symbols": [quote.symbol for quote in fresh],
                "prices": [quote.last for quote in fresh],
                "only": account_id,
            },
        )
        return int(cursor.rowcount)


def snapshots_thin(*, now: datetime) -> int:
    """Drop most of the points that are older than KEEP_MINUTES; how many went."""
    old = EquitySnapshot.objects.filter(at__lt=now - KEEP_MINUTES)
    count, _ = old.exclude(at__minute__in=range(0, 60, THINNED_TO)).delete()
    return count
