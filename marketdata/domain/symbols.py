"""How people write a symbol, and how an address does."""

from __future__ import annotations

import re

MAX_SYMBOL_LENGTH = 24
# Longest first: "BTCUSDT" is bitcoin in tethers, not "BTC" + "USD" + "T".
QUOTE_CURRENCIES = ("USDT", "USDC", "USD")

_WRITTEN = re.compile(r"[A-Z0-9]+(?:[./_-][A-Z0-9]+)?")


def symbol_candidates(text: str) -> tuple[str, ...]:
    """Return the symbols that `text` may mean, most literal first; () for what cannot be one.

    Coins may be written BTC/USD, BTC-USD, BTC_USD or BTCUSD; share classes BRK.B or BRK-B.
    The caller takes the first candidate that exists.
    """
    stripped = text.strip()
    if len(stripped) > MAX_SYMBOL_LENGTH or not stripped.isascii():
        return ()
    written = stripped.upper()
    if not _WRITTEN.fullmatch(written):
        return ()
    candidates = [written]
    base, separator, tail = _split(written)
    if separator:
        candidates.append(f"{base}/{tail}" if tail in QUOTE_CURRENCIES else f"{base}.{tail}")
    else:
        candidates.extend(
            f"{written.removesuffix(quote)}/{quote}"
            for quote in QUOTE_CURRENCIES
            if written.endswith(quote) and written != quote
        )
    return tuple(dict.fromkeys(candidates))


def symbol_slug(symbol: str) -> str:
    """Return the form used inside a URL path: BTC/USD -> BTC-USD, others unchanged."""
    return symbol.replace("/", "-")


def _split(written: str) -> tuple[str, str, str]:
    for separator in "/-_.":
        if separator in written:
            return written.partition(separator)
    return written, "", ""
