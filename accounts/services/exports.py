"""Everything that is kept about a user, one JSON object a line. Apps above add their parts here."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from accounts.models import User

#: The rows of one part, as plain JSON values: numbers that must be exact are texts.
Part = Callable[[User], Iterator[dict[str, Any]]]

_PARTS: dict[str, Part] = {}


def register_export(name: str, part: Part) -> None:
    """Called once per part, from AppConfig.ready() of the app that owns it."""
    _PARTS[name] = part


def export_names() -> list[str]:
    """The parts that there are."""
    return list(_PARTS)


def export_lines(user: User) -> Iterator[str]:
    """Every row of every part as a line, '{"part": "profile", …}'; memory does not grow."""
    for name, part in _PARTS.items():
        for row in part(user):
            yield json.dumps({"part": name, **row}, ensure_ascii=False) + "\n"
