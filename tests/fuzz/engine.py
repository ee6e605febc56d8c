"""Schemathesis against our WSGI application, in this process, from docs/openapi.yaml.

All its phases (coverage of the document, dice, chains of calls that belong together) with all its
checks. What is not asked has its reason in EXCEPTIONS.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import schemathesis
from django.db import connections
from schemathesis import engine
from schemathesis.engine import events
from schemathesis.transport.wsgi import WSGITransport

from speedtrade.datafolder import PROJECT
from speedtrade.wsgi import application

DOCUMENT = PROJECT / "docs" / "openapi.yaml"
#: 405 is a method that nobody has there, 401 a probe without a log-in, and the rest is what the
#: request says before anybody asks whose the thing is.
CLOSED = (400, 401, 404, 405, 413, 415)

#: (operations, check): what one check may not demand of some doors. The reasons:
#: - a body obeys rules that a document of shapes cannot say (a limit order needs a limit price, a
#:   name is more than blanks, a password is not a common one), so one that fits it may be refused;
#: - a time in a query has its own spelling, which OpenAPI calls a text.
EXCEPTIONS = [
    ({"include-method": ["POST", "PUT", "PATCH", "DELETE"]}, "positive_data_acceptance"),
    ({"include-operation-id": "market_bars"}, "positive_data_acceptance"),
]


@dataclass
class Outcome:
    """What a run found; `calls` counts answers by operation and status."""

    failures: dict[str, str] = field(default_factory=dict)  # by what makes two of them one
    errors: list[str] = field(default_factory=list)
    calls: dict[str, dict[int, int]] = field(default_factory=dict)
    asked_foreign: int = 0  # calls with an id of the neighbour's in their path
    opened_foreign: list[str] = field(default_factory=list)  # and which of them were answered

    @property
    def total(self) -> int:
        return sum(sum(statuses.values()) for statuses in self.calls.values())


class Application:
    """Our application, which keeps the connections of the engine's threads, to end them."""

    def __init__(self) -> None:
        self._seen: dict[int, Any] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        connection = connections["default"]
        self._seen[id(connection)] = connection
        return application(environ, start_response)

    def close(self) -> None:
        """End every connection: the database of a test is emptied, and dropped, after it."""
        for connection in self._seen.values():
            connection.inc_thread_sharing()
            connection.close()
            connection.dec_thread_sharing()


def dictionaries(things: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Values that there are, by parameter: half of the dice say one of them."""
    return {
        "dictionaries": {f"known{n}": {"values": v} for n, v in enumerate(things.values())},
        "parameters": {
            name: {"dictionary": f"known{n}", "probability": 0.5} for n, name in enumerate(things)
        },
    }


def run(
    *,
    token: str,
    things: Mapping[str, list[Any]],
    foreign: Mapping[str, int],
    examples: int,
    steps: int,
    seed: int,
) -> Outcome:
    """Everything the engine can do, as the user of this token, who knows of some `things`.

    `foreign` are the ids among them that belong to somebody else, by parameter.
    """
    config = schemathesis.Config.from_dict(
        {
            "seed": seed,
            "workers": 1,
            "headers": {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"},
            "base-url": "http://localhost",
            "continue-on-failure": True,
            "generation": {"deterministic": True, "max-examples": examples, "no-shrink": True},
            "phases": {"stateful": {"max-steps": steps}},
            **dictionaries(things),
            "operations": [
                {**doors, "checks": {check: {"enabled": False}}} for doors, check in EXCEPTIONS
            ],
        }
    )
    app, outcome = Application(), Outcome()
    schema = schemathesis.openapi.from_path(DOCUMENT, config=config)
    schema.app = app
    try:
        with _patient_transport():
            for event in engine.from_schema(schema).execute():
                _note(event, outcome, foreign)
    finally:
        app.close()
    return outcome


@contextmanager
def _patient_transport() -> Iterator[None]:
    """Let probes without a log-in through: 4.32.5 hands them settings of sockets, and fails."""
    send = WSGITransport.send

    def send_without(self: WSGITransport, case: Any, *, session: Any = None, **given: Any) -> Any:
        for name in ("max_redirects", "verify", "cert", "proxies"):
            given.pop(name, None)
        return send(self, case, session=session, **given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WSGITransport, "send", send_without)
        yield


def _note(event: events.EngineEvent, outcome: Outcome, foreign: Mapping[str, int]) -> None:
    if isinstance(event, events.FatalError):
        raise event.exception
    if isinstance(event, events.NonFatalError):
        outcome.errors.append(f"{event.label}: {event.value!r}")
    if not isinstance(event, events.ScenarioFinished):
        return
    recorder = event.recorder
    for case_id, node in recorder.cases.items():
        response = recorder.find_response(case_id=case_id)
        if response is None:
            continue
        case = node.value
        statuses = outcome.calls.setdefault(case.operation.label, {})
        statuses[response.status_code] = statuses.get(response.status_code, 0) + 1
        if any(
            str(foreign.get(name)) == str(v) for name, v in (case.path_parameters or {}).items()
        ):
            outcome.asked_foreign += 1
            if response.status_code not in CLOSED:
                outcome.opened_foreign.append(f"{case.operation.label}: {response.status_code}")
    for name, failure, text in _failures(event):
        outcome.failures.setdefault(name, f"{text}\n{failure}")


def _failures(event: events.ScenarioFinished) -> Iterator[tuple[str, str, str]]:
    """(what makes two the same, what is wrong, how to see it again) of each failed check."""
    recorder = event.recorder
    for case_id, checks in recorder.checks.items():
        for check in checks:
            info = check.failure_info
            if info is None:
                continue
            response = recorder.find_response(case_id=case_id)
            said = f"{response.status_code} {response.content[:300]!r}" if response else ""
            label = recorder.cases[case_id].value.operation.label
            yield (
                f"{label} {check.name} {response.status_code if response else ''}",
                f"{info.failure.title}: {info.failure.message}\n{said}",
                f"{event.phase.value}: {info.code_sample}",
            )
