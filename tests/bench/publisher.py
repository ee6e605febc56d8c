"""Ticks for a hub, in the feed's own commands: one batch a window.

The bytes are made beforehand but for the time and the number, so that 10,000 ticks a second leave
the core to the clients. With --groups each tick is a message to a group instead.
"""

import argparse
import asyncio
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis

SYMBOL = {
    "bid": "99.99",
    "ask": "100.00",
    "bid_size": "100000000",
    "ask_size": "100000000",
    "last": "100.00",
    "prev_close": "98.00",
    "change": "2.00",
    "change_pct": "2.0408",
    "open": "98.00",
    "day_high": "100.00",
    "day_low": "98.00",
    "volume": "1000",
}


def stamp() -> str:
    now = datetime.now(UTC).replace(tzinfo=None)
    return now.isoformat(timespec="milliseconds") + "Z"


class Batches:
    """What one window sends for these symbols."""

    def __init__(self, symbols: list[str]) -> None:
        self._symbols = symbols
        self._heads = [
            json.dumps({"symbol": s} | SYMBOL, separators=(",", ":"))[:-1] for s in symbols
        ]
        self._depth = ',"bids":[["99.99","100000000"]],"asks":[["100.00","100000000"]]}'
        self._seq = int(time.time() * 1000)

    def texts(self, part: slice = slice(None)) -> list[str]:
        """The quotes of a part of the symbols without depth, as they stand in a batch."""
        self._seq += 1
        tail = f',"as_of":"{stamp()}","seq":{self._seq},"source":"bench"}}'
        return [head + tail for head in self._heads[part]]

    def send(self, client: "redis.Redis[str]", channel: str, part: slice) -> None:
        """As `quote_store.quotes_put` does."""
        texts, symbols = self.texts(part), self._symbols[part]
        pipeline = client.pipeline(transaction=False)
        full = {s: t[:-1] + self._depth for s, t in zip(symbols, texts, strict=True)}
        pipeline.hset("st:quotes", mapping=full)
        pipeline.zadd("st:moves", dict.fromkeys(symbols, 2.0408))
        pipeline.publish(channel, f"[{','.join(texts)}]")
        pipeline.set("st:heartbeat:feed", f"{time.time():.3f}")
        pipeline.execute()


def publish(
    url: str, channel: str, symbols: list[str], rate: float, seconds: float, turns: int = 1
) -> dict[str, Any]:
    """So many windows a second, in each of which every turns-th symbol ticks.

    Answers the ticks a second, and the share of a core that they took.
    """
    client: redis.Redis[str] = redis.Redis.from_url(url, decode_responses=True)
    batches, sent = Batches(symbols), 0
    began, cpu = time.perf_counter(), time.process_time()
    while (now := time.perf_counter() - began) < seconds:
        if now < sent / rate:
            time.sleep(sent / rate - now)
            continue
        batches.send(client, channel, slice(sent % turns, None, turns))
        sent += 1
    wall = time.perf_counter() - began
    return {
        "ticks": sent * len(symbols) / turns / wall,
        "share": (time.process_time() - cpu) / wall,
    }


async def to_groups(symbols: list[str], rate: float, seconds: float) -> dict[str, Any]:
    """So many ticks a second, each one message to the group of its symbol."""
    import django

    django.setup()
    from channels.layers import get_channel_layer

    layer: Any = get_channel_layer()
    batches, sent = Batches(symbols), 0
    began, cpu = time.perf_counter(), time.process_time()
    while (now := time.perf_counter() - began) < seconds:
        if now < sent / rate:
            await asyncio.sleep(sent / rate - now)
        texts = batches.texts()
        for _ in range(10):
            at = sent % len(symbols)
            text = f'{{"type":"quote","quotes":[{texts[at]}]}}'
            await layer.group_send(f"bench.{symbols[at]}", {"type": "bench.quote", "text": text})
            sent += 1
    wall = time.perf_counter() - began
    return {"ticks": sent / wall, "share": (time.process_time() - cpu) / wall}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--channel", required=True)
    parser.add_argument("--symbols", type=Path, required=True, help="JSON: [symbol, …]")
    parser.add_argument("--rate", type=float, required=True, help="windows (or ticks) a second")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--turns", type=int, default=1, help="windows until every symbol ticked")
    parser.add_argument("--groups", action="store_true")
    asked = parser.parse_args()
    symbols = json.loads(asked.symbols.read_text())
    if asked.groups:
        told = asyncio.run(to_groups(symbols, asked.rate, asked.seconds))
    else:
        told = publish(asked.url, asked.channel, symbols, asked.rate, asked.seconds, asked.turns)
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
