"""The promises about the books: pockets, positions, cost and profit, and a past that stays."""

from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from portfolio.services.rebuild import ledger_differences
from speedtrade.lib.money import plain
from trading.simulation import rows
from trading.simulation.oracle import solve
from trading.simulation.order_checks import OrderChecks
from trading.simulation.rows import UNIT, Reader
from trading.simulation.trace import Violation

if TYPE_CHECKING:
    from trading.simulation.world import World

D = Decimal
#: Tables that only ever grow (I13).
APPENDED: Final = (
    "portfolio_transfer",
    "portfolio_journalentry",
    "trading_fill",
    "trading_orderevent",
    "trading_paperfill",
    "accounts_auditevent",
)


class BookChecks:
    """Balances and positions worked out anew from the transfers and the fills alone."""

    def __init__(self, world: "World", reader: Reader, orders: OrderChecks) -> None:
        self.world, self.reader, self.orders = world, reader, orders
        self._accounts = list(orders.names)
        self.pockets: dict[tuple[int, str, str], tuple[int, Decimal, Decimal]] = {}
        self.positions: dict[int, dict[str, tuple[int, Decimal]]] = defaultdict(dict)
        self._balances: dict[int, Fraction] = defaultdict(Fraction)
        self._marks: dict[str, tuple[int, str]] = {}
        self._open_cash: dict[int, Fraction] = {}
        for pk, account, kind, asset, balance, reserved in reader.ask(rows.POCKETS, self._accounts):
            self._balances[pk] = Fraction(balance)
            self.pockets[account, kind, asset] = (pk, balance, reserved)
            if kind == "cash":
                self._open_cash[account] = Fraction(balance)

    def held(self, account: int, symbol: str) -> Decimal:
        return self.positions[account].get(symbol, (0, D(0)))[1]

    def look_at_pockets(self) -> None:
        """I1-I3, I11: a balance is its history; what is reserved is what orders hold."""
        for _, source, target, amount in self.reader.new("transfers", rows.TRANSFERS):
            if amount <= 0 or source == target:
                raise Violation("I1 a transfer moves something", f"{amount}")
            self._balances[source] -= Fraction(amount)
            self._balances[target] += Fraction(amount)
        for pk, account, kind, asset, balance, reserved in self.reader.ask(
            rows.POCKETS, self._accounts
        ):
            where = f"{self.orders.names[account]} {kind} {asset}"
            if Fraction(balance) != self._balances[pk]:
                raise Violation("I2 a balance is its history", f"{where}: {plain(balance)}")
            if Fraction(reserved) != self.orders.reserved.get(pk, 0):
                raise Violation("I3 reserved is what orders hold", f"{where}: {plain(reserved)}")
            if kind in {"cash", "position"} and not 0 <= reserved <= balance:
                raise Violation(
                    "I11 nothing is overdrawn", f"{where}: {plain(reserved)} of {plain(balance)}"
                )
            self.pockets[account, kind, asset] = (pk, balance, reserved)
        for member in self.world.people.members.values():
            self._cash(member.account.pk, Fraction(member.moved))

    def _cash(self, account: int, moved: Fraction) -> None:
        """Cash is what came in and what the fills did, worked out from the fills alone."""
        right, slack = self._open_cash[account] + moved, Fraction(0)
        for one in self.orders.orders.values():
            tally = self.orders.tallies[one.pk]
            if one.account == account and tally.count:
                right += (tally.value if one.side == "sell" else -tally.value) - tally.fees
                slack += tally.count * UNIT / 2
        balance = Fraction(self.pockets[account, "cash", "USD"][1])
        if abs(balance - right) > slack:
            words = f"{self.orders.names[account]}: {float(balance)}, expected {float(right)}"
            raise Violation("cash is what the fills did", words)

    def look_at_positions(self) -> None:
        """I7: a position is its pocket and its fills."""
        for pk, account, symbol, qty, _, _, fees in self.reader.ask(rows.POSITIONS, self._accounts):
            shelf = self.orders.shelves[account, symbol]
            where = f"{self.orders.names[account]} {symbol}"
            pocket = self.pockets.get((account, "position", symbol), (0, D(0), D(0)))
            if Fraction(qty) != shelf.qty or qty != pocket[1]:
                raise Violation("I7 a position is its fills", f"{where}: {plain(qty)}")
            if Fraction(fees) != shelf.fees:
                raise Violation("I8 fees are those of the fills", f"{where}: {fees}")
            self.positions[account][symbol] = (pk, qty)
        for (account, symbol), shelf in self.orders.shelves.items():
            if shelf.qty and not self.held(account, symbol):
                raise Violation("I7 shares have a position", symbol)

    def look_at_all(self) -> None:
        """The ledger's own check, the oracle, and that nothing of the past was changed."""
        for difference in ledger_differences():
            words = f"{difference.found}, expected {difference.expected}"
            raise Violation(difference.invariant, f"{difference.where}: {words}")
        for _, account, symbol, qty, cost, realized, _ in self.reader.ask(
            rows.POSITIONS, self._accounts
        ):
            trades = self.orders.shelves[account, symbol].trades
            answer, where = solve(trades), f"{self.orders.names[account]} {symbol}"
            slack = UNIT * len(trades)
            if Fraction(qty) != answer.qty:
                raise Violation("I7 a position is its fills", f"{where}: {plain(qty)}")
            if abs(Fraction(cost) - answer.cost) > slack:
                raise Violation("I8 cost is the oracle's", f"{where}: {cost}")
            if abs(Fraction(realized) - answer.realized) > slack:
                raise Violation("I8 realised P&L is the oracle's", f"{where}: {realized}")
        self._look_at_past()

    def _look_at_past(self) -> None:
        """I13: the rows of before read as they did."""
        for table in APPENDED:
            last, mark = self._marks.get(table, (0, self._mark(table, 0)))
            if self._mark(table, last) != mark:
                raise Violation("I13 the past stays", table)
            newest = self.reader.newest(table)
            self._marks[table] = (newest, self._mark(table, newest))

    def _mark(self, table: str, last: int) -> str:
        query = f"SELECT md5(string_agg(t::text, '|' ORDER BY id)) FROM {table} t WHERE id <= %s"  # noqa: S608  # nosec B608 - names of ours, values are parameters
        [[mark]] = self.reader.ask(query, last)
        return str(mark)
