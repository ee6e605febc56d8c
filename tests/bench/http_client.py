"""A load client that costs next to nothing: requests are bytes made beforehand, sockets block."""

import socket
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass
class Load:
    """What a load came to. Latencies in seconds; `cpu` is what this client used itself."""

    latencies: list[float] = field(default_factory=list)
    wall: float = 0.0
    cpu: float = 0.0
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def p50(self) -> float:
        return statistics.median(self.latencies)

    def quantile(self, share: float) -> float:
        found = sorted(self.latencies)
        return found[min(len(found) - 1, int(share * len(found)))]

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.wall

    @property
    def share(self) -> float:
        """Of one core, what the client itself used."""
        return self.cpu / self.wall


class Connection:
    """One kept-alive connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; (status, body) of its answer."""
        self._socket.sendall(request)
        data = self._rest
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        head, data = data[:end].lower(), data[end + 4 :]
        status = int(head[9:12])
        at = head.find(b"content-length:")
        if at >= 0:
            length = int(head[at + 15 :].split(b"\r\n", 1)[0])
            while len(data) < length:
                data += self._more()
            self._rest = data[length:]
            return status, data[:length]
        while not data.endswith(b"0\r\n\r\n"):
            data += self._more()
        self._rest = b""
        return status, data

    def _more(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data

    def close(self) -> None:
        self._socket.close()


def request_bytes(
    method: str, path: str, *, token: str = "", body: bytes = b"", more: str = ""
) -> bytes:
    """A whole request; `more` are further header lines, each with its end."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{more}"
    if token:
        head += f"Authorization: Bearer {token}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def load(
    port: int, clients: Sequence[Iterator[bytes]], *, seconds: float = 0, count: int = 0
) -> Load:
    """Each client asks one request after the other, for so long or so often; sums them up.

    Raises RuntimeError for an answer of 400 and above: what is refused is no figure.
    """
    total, threads, bad = Load(), [], []
    lock, start = threading.Lock(), threading.Barrier(len(clients) + 1)

    def run(requests: Iterator[bytes]) -> None:
        connection = Connection(port)
        mine: list[float] = []
        seen: dict[int, int] = {}
        connection.ask(next(requests))  # its thread and its database connection exist now
        start.wait()
        began = time.thread_time()
        until = time.perf_counter() + seconds
        while (len(mine) < count) if count else (time.perf_counter() < until):
            request = next(requests)
            asked = time.perf_counter()
            status, body = connection.ask(request)
            mine.append(time.perf_counter() - asked)
            seen[status] = seen.get(status, 0) + 1
            if status >= 400:
                bad.append(body)
                break
        used = time.thread_time() - began
        connection.close()
        with lock:
            total.latencies += mine
            total.cpu += used
            for status, times in seen.items():
                total.statuses[status] = total.statuses.get(status, 0) + times

    for requests in clients:
        threads.append(threading.Thread(target=run, args=(requests,), daemon=True))
        threads[-1].start()
    start.wait(60)
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    total.wall = time.perf_counter() - began
    if bad:
        raise RuntimeError(f"refused: {bad[0][:500]!r}")
    return total
