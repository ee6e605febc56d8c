"""What stops trading for a while: news, a storm, support staff, or an owner's own wish."""

from typing import TYPE_CHECKING

from accounts.models import BrokerageAccount, User
from accounts.services.accounts import (
    account_freeze,
    account_resume,
    account_stop,
    account_unfreeze,
)
from marketdata.services.instruments import instrument_halt, instrument_resume
from trading.services.halts import trading_halt, trading_resume

if TYPE_CHECKING:
    from trading.simulation.world import World


class Switches:
    """Which are off now. Each is lifted again after a while, and all of them at the end."""

    def __init__(self, world: "World", staff: User) -> None:
        self.world, self.staff = world, staff
        self.halted: set[str] = set()  # symbols
        self._killed = False
        self._frozen: dict[int, BrokerageAccount] = {}
        self._stopped: dict[int, tuple[BrokerageAccount, User]] = {}

    @property
    def any_off(self) -> bool:
        return bool(self.halted or self._killed or self._frozen or self._stopped)

    def off(self, account: BrokerageAccount, owner: User) -> str:
        """Turn some switch off; what it was."""
        luck, now = self.world.dice["switch"], self.world.now
        what = luck.choice(["halt", "halt", "kill", "freeze", "stop"])
        seconds = luck.choice([10, 600, 7200])
        if what == "halt":
            symbol = luck.choice(self.world.listings).symbol
            if symbol in self.halted:
                return "halted already"
            instrument_halt(symbol=symbol, actor=self.staff, reason="news", now=now)
            self.halted.add(symbol)
            self.world.at(seconds, "unhalt", symbol)
            return f"halt {symbol}"
        if what == "kill" and not self._killed:
            trading_halt(actor=self.staff, reason="storm", now=now)
            self._killed = True
        elif what == "freeze" and account.pk not in self._frozen:
            account_freeze(account_id=account.pk, actor=self.staff, reason="?", now=now)
            self._frozen[account.pk] = account
        elif what == "stop" and account.pk not in self._stopped:
            account_stop(account=account, actor=owner, now=now)
            self._stopped[account.pk] = (account, owner)
        self.world.at(seconds, "resume")
        return what

    def unhalt(self, symbol: str) -> None:
        if symbol in self.halted:
            instrument_resume(symbol=symbol, actor=self.staff, reason="over", now=self.world.now)
            self.halted.discard(symbol)

    def resume(self) -> None:
        """Everything goes on but the symbols that are halted."""
        now = self.world.now
        if self._killed:
            trading_resume(actor=self.staff, reason="over", now=now)
            self._killed = False
        for pk in self._frozen:
            account_unfreeze(account_id=pk, actor=self.staff, reason="over", now=now)
        for account, owner in self._stopped.values():
            account_resume(account=account, actor=owner, now=now)
        self._frozen.clear()
        self._stopped.clear()

    def all_on(self) -> None:
        for symbol in sorted(self.halted):
            self.unhalt(symbol)
        self.resume()
