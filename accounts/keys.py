"""The key of a broker account, in the clear: it lives as short as can be and is never printed."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BrokerKey:
    """What the vendor gave its customer. Its text shows nothing: logs and errors print it."""

    api_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    passphrase: str = field(default="", repr=False)
