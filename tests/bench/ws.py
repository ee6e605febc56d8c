"""The client's side of a WebSocket: a handshake, masked texts out, frames in. No extensions."""

import base64
import os
import socket
from collections.abc import Iterator

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


def opened(port: int, path: str, token: str = "") -> socket.socket:
    """A connected socket after its handshake; raises ConnectionError when it is refused."""
    made = socket.create_connection(("127.0.0.1", port), timeout=60)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = base64.b64encode(os.urandom(16)).decode()
    head = (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
    )
    made.sendall(
        f"{head}{f'Authorization: Bearer {token}' if token else 'X-None: 1'}\r\n\r\n".encode()
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        more = made.recv(1)  # byte by byte: what follows is a frame already
        if not more:
            raise ConnectionError("closed in the handshake")
        answer += more
    if b" 101 " not in answer.split(b"\r\n", 1)[0]:
        raise ConnectionError(answer.decode(errors="replace")[:200])
    return made


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A masked frame; the mask is zero, which every server takes."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, 0x80 | size)) + bytes(4) + payload
    return bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big") + bytes(4) + payload


def frames(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(opcode, start, end) of each whole frame in `data`; the last end is where the rest begins."""
    at, size = 0, len(data)
    while size - at >= 2:
        length, head = data[at + 1] & 127, 2
        if length == 126:
            if size - at < 4:
                return
            length, head = data[at + 2] << 8 | data[at + 3], 4
        elif length == 127:
            if size - at < 10:
                return
            length, head = int.from_bytes(data[at + 2 : at + 10], "big"), 10
        end = at + head + length
        if end > size:
            return
        yield data[at] & 15, at + head, end
        at = end
