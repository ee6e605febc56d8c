"""docker-compose.yml as data: what Compose would make of it, for who runs it without a daemon."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from speedtrade.datafolder import PROJECT

STOP_GRACE = 10.0  # seconds that Compose gives who says nothing of it
_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+):(?P<how>[-?])(?P<rest>[^}]*)\})")


def services_read(values: Mapping[str, str]) -> dict[str, Any]:
    """Its services with every variable filled in; raises KeyError where one has no default."""

    def chosen(found: "re.Match[str]") -> str:
        if found["dollar"]:
            return "$"
        if value := values.get(found["name"]):
            return value
        if found["how"] == "?":
            raise KeyError(found["name"])
        return found["rest"]

    def filled(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: filled(value) for name, value in part.items()}
        if isinstance(part, list):
            return [filled(value) for value in part]
        return _VARIABLE.sub(chosen, part) if isinstance(part, str) else part

    document = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
    services: dict[str, Any] = filled(document["services"])
    return services


def health_command(service: Mapping[str, Any]) -> list[str]:
    kind, *words = service["healthcheck"]["test"]
    return words if kind == "CMD" else ["sh", "-c", *words]


def seconds(text: str | None) -> float:
    """Of a duration as it stands there."""
    return float(text.removesuffix("s")) if text else STOP_GRACE
