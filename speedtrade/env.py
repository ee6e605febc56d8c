"""Read settings from the environment and fail loudly on a bad value.

Every variable `X` may also come as `X_FILE`, the path of a file that holds it (container secrets).
Imports nothing of Django: `settings.py` and the supervisor both read through here.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PORT_MOST = 65535
_INT_MOST = 10**9  # of what counts seconds, minutes or things: beyond it a date would overflow
_files: set[str] = set()


class BadSetting(Exception):
    """A variable is missing or cannot be understood; the text says which and what to do."""


def env_str(name: str, default: str | None = None) -> str:
    """The text of `name`, of the file named by `name`_FILE, or the default; raises BadSetting."""
    if path := os.environ.get(f"{name}_FILE"):
        _files.add(path)
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BadSetting(f"{name}_FILE names {path}, which cannot be read: {error}") from error
    value = os.environ.get(name, "").strip()
    if value:
        return value
    if default is None:
        raise BadSetting(f"{name} is not set; see .env.example for what it means.")
    return default


def env_given(name: str) -> bool:
    """Whether the environment says `name`, itself or by a file: then no data folder is asked."""
    return bool(os.environ.get(f"{name}_FILE") or os.environ.get(name, "").strip())


def env_files() -> list[str]:
    """The files that variables of ours were read from, each with a secret in it."""
    return sorted(_files)


def env_bool(name: str, default: bool) -> bool:
    value = env_str(name, "true" if default else "false").lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise BadSetting(f"{name} must be true or false, not {value!r}.")


def env_int(name: str, default: int, *, low: int = 0, high: int = _INT_MOST) -> int:
    """A whole number from `low` to `high`; raises BadSetting for anything else."""
    value = env_str(name, str(default))
    if not re.fullmatch(r"[0-9]{1,12}", value) or not low <= int(value) <= high:
        raise BadSetting(f"{name} must be a whole number from {low} to {high}, not {value!r}.")
    return int(value)


def env_port(name: str, default: int) -> int:
    return env_int(name, default, low=1, high=PORT_MOST)


def env_decimal(name: str, default: str) -> Decimal:
    value = env_str(name, default)
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise BadSetting(f"{name} must be a number, not {value!r}.") from error
    if not number.is_finite() or number < 0:
        raise BadSetting(f"{name} must be a number of at least 0, not {value!r}.")
    return number


def env_list(name: str, default: str = "") -> list[str]:
    return [part.strip() for part in env_str(name, default).split(",") if part.strip()]


def env_choice(name: str, default: str, choices: tuple[str, ...]) -> str:
    value = env_str(name, default)
    if value not in choices:
        raise BadSetting(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
    return value


def env_url(name: str, default: str, schemes: tuple[str, ...]) -> str:
    """An address without a slash at its end; raises BadSetting for another scheme or no host."""
    value = env_str(name, default).rstrip("/")
    if not _is_address(value, schemes):
        raise BadSetting(f"{name} must be an address with {' or '.join(schemes)}, not {value!r}.")
    return value


def _is_address(value: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port that is no number, or half an address of IPv6
        return False


def env_rate(name: str, default: str) -> str:
    """Limits such as "300/minute;100/second"; raises BadSetting for what no limiter can read."""
    from limits import parse_many  # here: who asks for the health of a process reads no rate

    value = env_str(name, default)
    try:
        good = all(item.amount > 0 for item in parse_many(value))
    except ValueError:
        good = False
    if not good:
        raise BadSetting(
            f"{name} must be a limit such as 60/minute or 300/minute;100/second, not {value!r}."
        )
    return value


def env_json(name: str, default: str) -> Mapping[str, Any]:
    """A JSON object; raises BadSetting for anything else."""
    try:
        value = json.loads(env_str(name, default))
    except ValueError as error:
        raise BadSetting(f"{name} must be JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadSetting(f"{name} must be a JSON object.")
    return value


def env_addresses(name: str) -> Mapping[str, Any]:
    """A JSON object of addresses, each by itself or by the names of its parts, to any depth."""
    value = env_json(name, "{}")
    for key, one in value.items():
        if not _all_addresses(one):
            raise BadSetting(f"{name} must give {key} an address, or an object of addresses.")
    return value


def _all_addresses(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(value) and all(_all_addresses(one) for one in value.values())
    return isinstance(value, str) and _is_address(value, ("http", "https", "ws", "wss"))


@contextlib.contextmanager
def understood(sentence: str) -> Iterator[None]:
    """Say `sentence` for a value that its parser refuses, whose words may quote a password."""
    try:
        yield
    except ValueError:
        raise BadSetting(sentence) from None


def read_json(path: Path) -> Mapping[str, Any]:
    """A small JSON file of the data folder, or {} where there is none yet."""
    try:
        content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadSetting(f"{path} cannot be read: {error}") from error
    return content
