"""Keys in the clear, of brokers and of our own API: they live short and are never printed."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BrokerKey:
    """What the vendor gave its customer. Its text shows nothing: logs and errors print it."""

    api_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    passphrase: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class KeyText:
    """A new API key on its way to the page that shows it once.

    Django logs the whole context of a template, at DEBUG, for each variable that it misses.
    """

    text: str = field(repr=False)
