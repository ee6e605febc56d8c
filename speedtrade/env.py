"""Read settings from the environment and fail loudly on a bad value.

Every variable `X` may also come as `X_FILE`, the path of a file that holds it (container secrets).
Imports nothing of Django: `settings.py` and the supervisor both read through here.
"""

import json
import os
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_files: set[str] = set()


class BadSetting(Exception):
    """A variable is missing or cannot be understood; the text says which and what to do."""


def env_str(name: str, default: str | None = None) -> str:
    """The text of `name`, of the file named by `name`_FILE, or the default; raises BadSetting."""
    if path := os.environ.get(f"{name}_FILE"):
        _files.add(path)
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
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


def env_int(name: str, default: int, *, low: int = 0) -> int:
    value = env_str(name, str(default))
    if not value.lstrip("-").isdecimal() or int(value) < low:
        raise BadSetting(f"{name} must be a whole number of at least {low}, not {value!r}.")
    return int(value)


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
    parts = urlsplit(value)
    if parts.scheme not in schemes or not parts.hostname:
        raise BadSetting(f"{name} must be an address with {' or '.join(schemes)}, not {value!r}.")
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


def read_json(path: Path) -> Mapping[str, Any]:
    """A small JSON file of the data folder, or {} where there is none yet."""
    try:
        content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadSetting(f"{path} cannot be read: {error}") from error
    return content
