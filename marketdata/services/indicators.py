"""Which lines a person wants on the price chart."""

from collections.abc import Iterable
from typing import Any

from marketdata.domain.indicators import INDICATORS


def indicators_choose(*, user: Any, names: Iterable[str]) -> list[str]:
    """Keep these lines, in the order of the list; what we cannot draw is left out."""
    wanted = set(names)
    user.indicators = [name for name in INDICATORS if name in wanted]
    user.save(update_fields=["indicators"])
    return list(user.indicators)
