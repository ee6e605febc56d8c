"""The floor of the hub: the same pull, bare. No users, no limits, no ageing.

One subscription, the newest text of each symbol with a version, and twenty cohorts of sockets that
take turns; each socket is sent what is new to it. picows is the fastest WebSocket server in Python
that we know, and uvloop the fastest loop.
"""

import argparse
import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import uvloop
from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)
from redis.asyncio import Redis

FIELDS = ("symbol", "bid", "ask", "last", "change", "change_pct", "as_of")
COHORTS = 20
STALE_AFTER = timedelta(seconds=5)


class Hub:
    """The newest quote of each symbol: [wire, version, stale, text or None]."""

    def __init__(self, period: float, per_socket: float) -> None:
        self.version = 0
        self.latest: dict[str, list[Any]] = {}
        self.cohorts: list[set[Socket]] = [set() for _ in range(COHORTS)]
        self._period, self._per_socket = period, per_socket

    def take(self, text: str) -> None:
        cutoff = (datetime.now(UTC) - STALE_AFTER).isoformat()
        for wire in json.loads(text):
            known = self.latest.get(wire["symbol"])
            if known is not None and known[0] == wire:
                continue
            self.version += 1
            self.latest[wire["symbol"]] = [wire, self.version, wire["as_of"] < cutoff, None]

    def text(self, latest: list[Any]) -> str:
        if latest[3] is None:
            shown = {name: latest[0][name] for name in FIELDS}
            latest[3] = json.dumps({**shown, "stale": latest[2]}, separators=(",", ":"))
        text: str = latest[3]
        return text

    async def pace(self) -> None:
        loop, turn = asyncio.get_running_loop(), 0
        due = loop.time()
        while True:
            for one in self.cohorts[turn]:
                one.flush(self)
            turn = (turn + 1) % COHORTS
            sockets = sum(map(len, self.cohorts))
            due += max(self._period, self._per_socket * sockets) / COHORTS
            due = max(due, loop.time())
            await asyncio.sleep(due - loop.time())

    async def listen(self, url: str, channel: str) -> None:
        async with Redis.from_url(url, decode_responses=True) as client, client.pubsub() as pubsub:
            await pubsub.subscribe(channel)
            async for message in pubsub.listen():
                if message["type"] == "message":
                    self.take(message["data"])


class Socket(WSListener):  # type: ignore[misc]
    """One client: the version of each symbol that it was sent."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._seen: dict[str, int] = {}
        self._caught_up = -1
        self._transport: WSTransport | None = None
        self._cohort: set[Socket] = set()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._cohort = min(self._hub.cohorts, key=len)
        self._cohort.add(self)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._cohort.discard(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self._seen = dict.fromkeys(json.loads(frame.get_payload_as_ascii_text())["symbols"], 0)
            transport.send(WSMsgType.TEXT, b'{"type":"quote","quotes":[]}')

    def flush(self, hub: Hub) -> None:
        if self._caught_up == hub.version or self._transport is None:
            return
        self._caught_up = hub.version
        parts = []
        for symbol, sent in self._seen.items():
            latest = hub.latest.get(symbol)
            if latest is not None and latest[1] != sent:
                self._seen[symbol] = latest[1]
                parts.append(hub.text(latest))
        if parts:
            text = f'{{"type":"quote","quotes":[{",".join(parts)}]}}'
            self._transport.send(WSMsgType.TEXT, text.encode())


async def serve(asked: argparse.Namespace) -> None:
    hub = Hub(asked.period, asked.per_socket)

    def enter(request: WSUpgradeRequest) -> WSListener:
        return Socket(hub)

    server = await ws_create_server(enter, "127.0.0.1", asked.port)
    async with server:
        print("ready", flush=True)
        await asyncio.gather(hub.pace(), hub.listen(asked.url, asked.channel))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--channel", required=True)
    parser.add_argument("--period", type=float, required=True, help="seconds")
    parser.add_argument("--per-socket", type=float, required=True, help="seconds")
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
