"""New keys for old: what a rotation puts where, for each of the three secrets.

Each goes in two steps. First the new key is in front and the former one still counts; nobody is
logged out and nothing is lost. Later the former one is taken away.
"""

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass

NAMES = ("SECRET_KEY", "JWT_SIGNING_KEY", "FIELD_KEYS")


@dataclass(frozen=True, slots=True)
class Loss:
    """When the former key may go, and what is lost where it goes sooner."""

    wait: str
    loss: str


LOSSES: Mapping[str, Loss] = {
    "SECRET_KEY": Loss(
        "after a week, which is how long a session lasts",
        "sessions of those who were not here since then end, and they log in again",
    ),
    "JWT_SIGNING_KEY": Loss(
        "after a day, which is how long a refresh token lasts",
        "programs that did not refresh since then log in again",
    ),
    "FIELD_KEYS": Loss(
        "once `--finish` has sealed every broker key anew",
        "broker keys that were not sealed anew are lost, and their owners give them again",
    ),
}


def key_fresh(name: str) -> str:
    """A random secret of the kind that `name` is."""
    if name == "FIELD_KEYS":
        return urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return secrets.token_urlsafe(48)


def begun(name: str, values: Mapping[str, str], fresh: str) -> dict[str, str]:
    """The variables that change in the first step: `fresh` in front, what was stays behind it."""
    if name == "FIELD_KEYS":
        return {name: f"{fresh},{values[name]}"}
    behind = f"{name}_FALLBACKS"
    former = ",".join(filter(None, (values[name], values.get(behind, ""))))
    return {name: fresh, behind: former}


def former(name: str, values: Mapping[str, str]) -> str:
    """What still counts behind the newest key; empty before the first step and after the second."""
    if name == "FIELD_KEYS":
        return values[name].partition(",")[2]
    return values.get(f"{name}_FALLBACKS", "")


def finished(name: str, values: Mapping[str, str]) -> dict[str, str]:
    """The variables that change in the second step: only the newest key is left."""
    if name == "FIELD_KEYS":
        return {name: values[name].partition(",")[0]}
    return {f"{name}_FALLBACKS": ""}
