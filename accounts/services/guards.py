"""What keeps an account from closing or disconnecting: apps above say it here."""

from collections.abc import Callable, Iterable

from accounts.models import BrokerageAccount

#: What keeps an account from closing, in words; "" for nothing.
Guard = Callable[[BrokerageAccount], str]

_GUARDS: list[Guard] = []


def register_closing_guard(guard: Guard) -> None:
    """Called once per guard, from AppConfig.ready() of the app that owns it."""
    if guard not in _GUARDS:
        _GUARDS.append(guard)


def closing_reasons(accounts: Iterable[BrokerageAccount]) -> list[str]:
    """Everything that stands in the way now; empty where nothing does."""
    found = [guard(account) for account in accounts for guard in _GUARDS]
    return [reason for reason in found if reason]
