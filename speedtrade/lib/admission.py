"""Who may open a socket: the question, asked below; the answer is registered by who knows users.

The consumers of market data and the users of `accounts` do not know each other (the import law), so
they meet here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from django.core.exceptions import ImproperlyConfigured

LOG_IN: Final = 4401
FORBIDDEN: Final = 4403
TOO_MANY: Final = 4429  # sockets of one user, or messages that nobody waits for an answer to


class Refused(Exception):
    """This socket may not be opened; `code` is what it would be closed with."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(str(code))


@dataclass(frozen=True, slots=True)
class Admission:
    """Whom a socket belongs to, and what that rests on: a session, or else a token."""

    user_id: int
    session_key: str = ""
    auth_hash: str = ""  # of the user's password, as it was when the socket opened
    token: str = field(default="", repr=False)  # an access token or an API key
    address: str = ""  # where it was opened from, for keys that name their addresses
    account_id: int | None = None  # the one account that a key is bound to

    @property
    def browser(self) -> bool:
        return not self.token


class Doorman(Protocol):
    """Both ask the database: call them in a thread."""

    def admit(self, headers: Iterable[tuple[bytes, bytes]], peer: str) -> Admission:
        """Find out whose socket this is, by the headers of its handshake; raises Refused.

        `peer` is the address at the other end of the connection, "" where nobody knows it.
        """
        ...

    def still_admitted(self, admissions: Iterable[Admission], now: datetime) -> set[Admission]:
        """Those whose session or token, user and password are still what they were."""
        ...


_DOORMEN: list[Doorman] = []


def register_doorman(doorman: Doorman) -> None:
    """Called once, from AppConfig.ready() of the app that knows users."""
    _DOORMEN[:] = [doorman]


def doorman() -> Doorman:
    """Whoever registered; raises ImproperlyConfigured: without one, nobody gets in."""
    if not _DOORMEN:
        raise ImproperlyConfigured("Nobody is registered to say who may open a socket.")
    return _DOORMEN[0]


def admit(headers: Iterable[tuple[bytes, bytes]], peer: str = "") -> Admission:
    return doorman().admit(headers, peer)


def still_admitted(admissions: Iterable[Admission], now: datetime) -> set[Admission]:
    return doorman().still_admitted(admissions, now)
