"""Vendors to trade against without a key of a real one: `make vendors`.

    python tools/vendors.py [--port 8701] [--seed speedtrade]

Starts the loopback vendors of the tests on fixed ports, with a market maker that fills orders at
the prices of the simulated market, and prints the settings and the keys to use. Nothing is kept.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from speedtrade.testing.vendors.alpaca import AlpacaVendor
from speedtrade.testing.vendors.maker import Maker

ALPACA_KEYS = {"PKLOOPBACK": "paper", "AKLOOPBACK": "live"}
ALPACA_SECRET = "loopback-secret"  # noqa: S105 (of no vendor that exists)
KRAKEN = "speedtrade.testing.vendors.kraken"
EVERY = 0.5  # seconds


def kraken_start(port: int) -> Any:
    """The Kraken-like vendor, where this tree has one."""
    if importlib.util.find_spec(KRAKEN) is None:
        return None
    module = importlib.import_module(KRAKEN)
    return module, module.KrakenVendor(port=port).start()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=8701)
    seed = os.environ.get("SIMULATED_MARKET_SEED", "speedtrade")
    arguments.add_argument("--seed", default=seed)
    asked = arguments.parse_args()
    ports = [asked.port + more if asked.port else 0 for more in range(3)]  # 0: any that is free
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    with contextlib.ExitStack() as stack:
        try:
            vendor = stack.enter_context(AlpacaVendor(*ports[:2]))
            kraken = kraken_start(ports[2])
        except OSError as error:
            sys.exit(f"A port from {asked.port} on is taken ({error}): choose others with --port.")
        for key in ALPACA_KEYS:
            vendor.open_account(key, ALPACA_SECRET)
        maker = Maker(vendor, asked.seed)
        print("Start SpeedTrade with these settings:\n")
        for name in ("ALPACA_TRADING_URL", "ALPACA_LIVE_TRADING_URL"):
            print(f"  export {name}={vendor.url}")
        for name in ("ALPACA_STREAM_URL", "ALPACA_LIVE_STREAM_URL"):
            print(f"  export {name}={vendor.stream_url}")
        if kraken is not None:
            module, exchange = kraken
            stack.callback(exchange.stop)
            print(f"  export CCXT_URLS='{json.dumps({'kraken': exchange.urls})}'")
        print("\nand connect an account under Settings, Accounts:\n")
        for key, mode in ALPACA_KEYS.items():
            print(f"  Alpaca, {mode}:  key {key}  secret {ALPACA_SECRET}")
        if kraken is not None:
            print(
                f"  Kraken:         key {module.API_KEY}\n                  secret {module.SECRET}"
            )
        print("\nOrders fill after a second at the simulated prices. Ctrl-C ends it.", flush=True)
        while not stop.wait(EVERY):
            maker.step()
            if kraken is not None:
                for symbol in ("BTC/USD", "ETH/USD"):
                    quote = maker.quote(symbol)
                    exchange.price(symbol, quote.bid, quote.ask)
        for drift in vendor.drift:
            print(f"not as the vendor would say it: {drift}", file=sys.stderr)


if __name__ == "__main__":
    main()
