"""What every door takes for a JSON object: the bodies of the API and the messages of sockets."""

import json
import re
from collections import Counter
from typing import Any, Final

_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
NAME_SHOWN = 60  # letters of a name that somebody sent, in the answer


class NoObject(ValueError):
    """It is JSON, and a list, a text or a number."""


class NamedTwice(ValueError):
    """An object has a name twice: who reads it before us may take the other one.

    `name` is that name, or "" for one that no answer should carry.
    """

    code = "duplicate"

    def __init__(self, name: str) -> None:
        self.name = name if name.isascii() and len(name) <= NAME_SHOWN else ""
        super().__init__(self.code)


def object_read(raw: bytes) -> dict[str, Any]:
    """The JSON object in UTF-8: no NaN, no Infinity, no name twice at any depth, not too deep,

    and no half of a pair of surrogates, which no answer and no column could hold.

    Raises ValueError, as NoObject or NamedTwice where it is one of these.
    """
    text = raw.decode("utf-8")
    try:
        found = _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError("It is too deep.") from error
    if _SURROGATE.search(text):
        json.dumps(found, ensure_ascii=False).encode()  # UnicodeEncodeError is a ValueError
    if not isinstance(found, dict):
        raise NoObject("It is no object.")
    return found


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    counts = Counter(name for name, _ in pairs)
    raise NamedTwice(next(name for name, count in counts.items() if count > 1))


# Made once: with arguments `json.loads` makes one for each text.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_named_once)
