"""What an exchange says is held, sorted into cash, positions and what is not ours to keep."""

from collections.abc import Mapping
from decimal import Decimal

from trading.brokers.base import BrokerError, BrokerPosition, Holdings
from trading.brokers.ccxt.client import Client
from trading.brokers.ccxt.rules import amount_step
from trading.brokers.ccxt.venues import FIAT

#: Words of the venue's status in which orders are taken.
_TAKING = frozenset({"online", "limit_only"})


def holdings_of(client: Client, balances: Mapping[str, Decimal]) -> Holdings:
    """Cash is the account's currency; a coin with a market in it is a position."""
    venue = client.venue
    positions: list[BrokerPosition] = []
    ignored: list[str] = []
    for code, qty in sorted(balances.items()):
        if code == venue.currency or not qty:
            continue
        symbol = f"{code}/{venue.currency}"
        market = client.market(symbol)
        step = amount_step(market) if market else None
        if code in FIAT:
            ignored.append(f"{code} {qty:f} (other money)")
        elif market is None:
            why = "staked or set aside" if "." in code else f"no market in {venue.currency}"
            ignored.append(f"{code} {qty:f} ({why})")
        elif step is not None and abs(qty) < step:
            ignored.append(f"{code} {qty:f} (too little to trade)")
        else:
            positions.append(BrokerPosition(symbol, "crypto", qty, Decimal(0)))
    cash = balances.get(venue.currency, Decimal(0))
    return Holdings(venue.currency, cash, tuple(positions), _blocked(client), tuple(ignored))


def _blocked(client: Client) -> str:
    """Why the venue takes no orders now, where it says so."""
    if client.venue.id != "kraken":
        return ""
    try:
        told = client.public("fetch_status")
    except BrokerError:
        return ""  # it says nothing of the account
    result = (told.get("info") or {}).get("result")
    word = result.get("status") if isinstance(result, dict) else None
    if not isinstance(word, str) or word in _TAKING:
        return ""
    return f"{client.venue.name} is in {word} mode."
