"""Which adapter serves which account: the mode is the account's, so paper never meets live.

An adapter of a vendor is imported when it is first asked for: the web process never asks.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module

from accounts.models import BrokerageAccount, BrokerCredential, BrokerKind
from accounts.services.credentials import CredentialUnreadable, credential_read
from trading.brokers.base import Broker, KeyUnreadable, UpdateStream
from trading.brokers.gate import GatedBroker
from trading.brokers.paper.adapter import PaperBroker

ADAPTERS_KEPT = 64  # in one process; an exchange's adapter knows its markets, which take long


def _vendor(account: BrokerageAccount) -> Broker:
    try:
        adapter = _adapter(account.pk, credential_version(account))
    except (BrokerCredential.DoesNotExist, CredentialUnreadable):
        raise KeyUnreadable("The stored key cannot be read here. Enter the key again.") from None
    return GatedBroker(adapter, account.pk)


_ADAPTERS: dict[str, Callable[[BrokerageAccount], Broker]] = {
    BrokerKind.PAPER: lambda account: PaperBroker(account.pk),
    BrokerKind.ALPACA: _vendor,
    BrokerKind.CCXT: _vendor,
}


def broker_for(account: BrokerageAccount) -> Broker:
    """The adapter of an account; raises KeyUnreadable, and KeyError for a kind that has none."""
    return _ADAPTERS[account.broker](account)


@contextmanager
def adapter_replaced(
    kind: BrokerKind, make: Callable[[BrokerageAccount], Broker]
) -> Iterator[None]:
    """For a simulation: accounts of this kind are served by what `make` returns."""
    real = _ADAPTERS[kind]
    _ADAPTERS[kind] = make
    try:
        yield
    finally:
        _ADAPTERS[kind] = real


def credential_version(account: BrokerageAccount) -> str:
    """Changes with every new key, so that no process goes on with an old one."""
    held = account.credential
    return f"{held.pk}:{held.created_at.isoformat()}"


@lru_cache(maxsize=ADAPTERS_KEPT)
def _adapter(account_id: int, version: str) -> Broker:
    account = BrokerageAccount.objects.get(pk=account_id)
    key = credential_read(account)
    if account.broker == BrokerKind.ALPACA:
        alpaca = import_module("trading.brokers.alpaca.adapter")
        made: Broker = alpaca.AlpacaBroker(account_id, key, account.mode)
    else:
        exchange = import_module("trading.brokers.ccxt.adapter")
        made = exchange.CcxtBroker(account_id, key, account.exchange, account.mode)
    return made


def stream_for(account: BrokerageAccount) -> UpdateStream:
    """The stream of an account's updates; raises KeyError for a broker that has none."""
    name = {BrokerKind.ALPACA: "trading.brokers.alpaca.stream"}[BrokerKind(account.broker)]
    key = credential_read(account)
    made: UpdateStream = import_module(name).AlpacaStream(account.pk, key, account.mode)
    return made
