"""What the sockets of this process open to: each name that is resolved, each address gone to.

Python tells an audit hook of both before anything leaves, in every thread and below every package.
What connects in C alone is not told, such as libpq to PostgreSQL.
"""

import ipaddress
import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

EVIL = "evil.example"
#: Texts that some package might take for an address.
HOSTILE = (
    f"https://{EVIL}/",
    f"http://user:word@{EVIL}:8080/?",
    f"socks5h://{EVIL}:1080",
    f"wss://{EVIL}/stream#",
    f"//{EVIL}/..;/",
    f"@{EVIL}",
    f".{EVIL}:443",
    f"x\r\nHost: {EVIL}\r\n\r\n",
    "http://169.254.169.254/latest/meta-data/",
    "http://127.0.0.1:1/",
    "http://[::1]:1/",
    "{hostname}/../%2f%2e",
)
PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "redis": 6379, "rediss": 6379}
#: Event of Python -> which of its arguments says where; a name alone has no port.
_WHERE: dict[str, Any] = {
    "socket.getaddrinfo": slice(0, 2),
    "socket.gethostbyname": 0,
    "socket.gethostbyaddr": 0,
    "socket.getnameinfo": 0,
    "socket.connect": 1,
    "socket.sendto": 1,
    "socket.sendmsg": 1,
}


class Doorman:
    """Lets pass what leads to the addresses given; the rest is refused and written down.

    `asked`: the allowed places that were asked for, as "host:port". Of those that are not on this
    machine nothing is resolved either: a test sends no word out. `strange`: all other places.
    """

    def __init__(self, urls: Iterable[str]) -> None:
        self.places = {place_of(url) for url in urls}
        self.asked: set[str] = set()
        self.strange: list[str] = []

    def hear(self, event: str, where: Any) -> None:
        """Raise OSError, unless it may pass."""
        place = _place(where)
        if not place:
            return  # nobody in particular: to listen, or on a socket that is connected
        if place in self.places:
            self.asked.add(place)
            if _is_here(place):
                return
        else:
            self.strange.append(f"{event} {place} ({threading.current_thread().name})")
        if event == "socket.connect":
            raise ConnectionRefusedError(f"the doorman lets nobody to {place}")
        raise socket.gaierror(socket.EAI_NONAME, f"the doorman knows no {place}")


def place_of(url: str) -> str:
    """Where an address leads, as "host:port"."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or PORTS[parts.scheme]}"


def _place(where: Any) -> str:
    """The same of what Python tells: a name, (name, port, …), or the path of a local socket."""
    if isinstance(where, tuple):
        host, port = where[:2]
        return "" if host is None else f"{_text(host).lower()}:{_text(port)}"
    return "" if where is None else _text(where).lower()


def _text(part: Any) -> str:
    return part.decode(errors="replace") if isinstance(part, bytes) else str(part)


def _is_here(place: str) -> bool:
    """Whether a place is on this machine."""
    try:
        return ipaddress.ip_address(place.rpartition(":")[0]).is_loopback
    except ValueError:
        return False


_on_duty: list[Doorman] = []
_hooked: list[bool] = []


@contextmanager
def doorman(urls: Iterable[str]) -> Iterator[Doorman]:
    """Meanwhile no socket of this process leads anywhere but to these addresses."""
    if not _hooked:
        sys.addaudithook(_hear)  # for ever: none can be taken away
        _hooked.append(True)
    one = Doorman(urls)
    _on_duty.append(one)
    try:
        yield one
    finally:
        _on_duty.remove(one)


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _WHERE:
        for one in _on_duty[-1:]:  # read once: another thread may just be leaving
            one.hear(event, arguments[_WHERE[event]])
