"""One matrix of behaviours that every adapter passes, and the table of what each broker can do.

A case is a function over a harness: an adapter, and hands at its vendor. It raises Failed where the
adapter breaks a promise of the interface, and NotHere where the vendor cannot show the behaviour
(the paper market has no network to fail). The tests run all cases against all harnesses.
"""

from trading.brokers.conformance import account, faults, orders
from trading.brokers.conformance.harness import CASES, Case, Failed, FaultName, Harness, NotHere
from trading.brokers.conformance.table import capability_table

__all__ = [
    "CASES",
    "Case",
    "Failed",
    "FaultName",
    "Harness",
    "NotHere",
    "account",
    "capability_table",
    "faults",
    "orders",
]
