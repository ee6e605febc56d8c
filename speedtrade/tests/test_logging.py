"""What the log of a house at LOG_LEVEL=DEBUG says: all of ours, and no secret by a package."""

import os
import subprocess
import sys

from speedtrade.datafolder import PROJECT
from speedtrade.testing.vendors.alpaca import AlpacaVendor

API_KEY = "PKCANARYOFTHEAPIKEY0001"
SECRET = "canary-of-the-secret-key-7d1f-and-it-is-long"
PART = 8  # characters

STREAM = f"""
import asyncio, logging, django
django.setup()
from accounts.keys import BrokerKey
from trading.brokers.alpaca.stream import AlpacaStream

async def main():
    heard = asyncio.Event()
    async def told(what):
        heard.set()
    stream = AlpacaStream(1, BrokerKey({API_KEY!r}, {SECRET!r}), "paper")
    running = asyncio.create_task(stream.run(told, told))
    await asyncio.wait_for(heard.wait(), 30)
    running.cancel()

logging.getLogger("trading.brokers").debug("what is ours")
asyncio.run(main())
print("it was let in")
"""
SIGNED_CALL = f"""
import ccxt, django
django.setup()
exchange = ccxt.binance({{"apiKey": {API_KEY!r}, "secret": {SECRET!r}, "timeout": 2000}})
exchange.urls["api"] = dict.fromkeys(exchange.urls["api"], "http://127.0.0.1:1")
try:
    exchange.private_get_account()
except ccxt.NetworkError:
    print("nobody was there")
"""


def said(script: str, **environment: str) -> str:
    """All that a process of the house with this script writes, at DEBUG."""
    settings = {"DJANGO_SETTINGS_MODULE": "speedtrade.settings", "LOG_LEVEL": "DEBUG"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        env={**os.environ, **settings, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def parts_in(text: str) -> set[str]:
    """The parts of the canaries that are in a text."""
    parts = {
        canary[start : start + PART]
        for canary in (API_KEY, SECRET)
        for start in range(len(canary) - PART + 1)
    }
    return {part for part in parts if part in text}


def test_a_stream_that_is_opened_at_debug_leaves_no_part_of_its_key_in_the_log() -> None:
    """`websockets` writes each frame, of long ones the beginning and the end."""
    with AlpacaVendor() as vendor:
        vendor.open_account(API_KEY, SECRET)
        text = said(STREAM, ALPACA_STREAM_URL=vendor.stream_url)
    assert "it was let in" in text and "what is ours" in text
    assert parts_in(text) == set()


def test_nor_does_a_signed_call() -> None:
    """`ccxt` writes the headers of each request, and `urllib3` its address with the signature."""
    text = said(SIGNED_CALL)
    assert "nobody was there" in text and "signature=" not in text
    assert parts_in(text) == set()
