"""What each broker can do, as a table for people."""

from collections.abc import Sequence

from trading.brokers.base import IdScope
from trading.brokers.capabilities import ALPACA, EXCHANGES, PAPER


def capability_table() -> str:
    """What each broker can do, as the table of docs/concepts/broker.md."""
    brokers = {"paper": PAPER, "alpaca": ALPACA, **EXCHANGES}
    scopes = {
        IdScope.ALL_TIME: "for all time",
        IdScope.OPEN_ONLY: "while it is open",
        IdScope.NONE: "no",
    }

    def row(title: str, cells: Sequence[str]) -> str:
        return f"| {title} | {' | '.join(cells)} |"

    def listed(names: frozenset[str], order: str) -> str:
        return ", ".join(sorted(names, key=order.split().index))

    caps = list(brokers.values())
    rows = [
        row("capability", list(brokers)),
        "|" + "---|" * (len(brokers) + 1),
        row("assets", [listed(one.asset_types, "stock crypto") for one in caps]),
        row("types", [listed(one.order_types, "market limit") for one in caps]),
        row(
            "time in force",
            [listed(one.times_in_force, "day gtc ioc fok opg cls") for one in caps],
        ),
        row("fractions", [_fractions(one.fractional, one.fraction_tifs) for one in caps]),
        row("amounts of money", ["yes" if one.notional else "no" for one in caps]),
        row("a repeated client order id is refused", [scopes[one.id_scope] for one in caps]),
        row("longest client order id", [str(one.cid_max_len) for one in caps]),
        row("a miss by id proves absence", [_yes(one.lookup_is_proof) for one in caps]),
        row("tells by itself", [_yes(one.push_updates) for one in caps]),
        row("one call at a time per key", [_yes(one.one_writer) for one in caps]),
    ]
    return "\n".join(rows) + "\n"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _fractions(fractional: bool, tifs: frozenset[str] | None) -> str:
    if not fractional:
        return "no"
    return "yes" if tifs is None else f"of stocks with {', '.join(sorted(tifs))}"
