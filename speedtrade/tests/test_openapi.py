"""docs/openapi.yaml is the API as it is: whoever changes a door renews it with `make openapi`."""

import io
import json
import threading
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from speedtrade import api_document
from speedtrade.datafolder import PROJECT
from speedtrade.lib.errors import CATALOGUE

KEPT = PROJECT / "docs" / "openapi.yaml"


def test_the_kept_document_is_the_one_that_the_code_makes():
    made = io.StringIO()
    call_command("spectacular", stdout=made, stderr=io.StringIO())
    kept = KEPT.read_text("utf-8")
    assert yaml.safe_load(kept) == yaml.safe_load(made.getvalue()), "Run `make openapi`."


def test_it_names_both_ways_to_say_who_one_is():
    schemes = yaml.safe_load(KEPT.read_text("utf-8"))["components"]["securitySchemes"]
    assert {name: one["scheme"] for name, one in schemes.items()} == {
        "apiKey": "bearer",
        "bearer": "bearer",
    }
    assert schemes["apiKey"]["bearerFormat"].startswith("stk_")


# ── the door ────────────────────────────────────────────────────────────────
@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that the document is made."""
    times: list[int] = []
    get_schema = SchemaGenerator.get_schema

    def counted(self: Any, **given: Any) -> Any:
        times.append(1)
        return get_schema(self, **given)

    monkeypatch.setattr(SchemaGenerator, "get_schema", counted)
    api_document._made.cache_clear()
    return times


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/vnd.oai.openapi"),
        ("application/yaml", "application/yaml"),
        ("application/json", "application/json"),
        ("application/vnd.oai.openapi+json", "application/vnd.oai.openapi+json"),
    ],
)
def test_strangers_get_the_document_in_the_format_that_they_ask_for(accept: str, kind: str) -> None:
    answer = Client().get("/api/schema", headers={"Accept": accept})
    assert answer.headers["Content-Type"] == f"{kind}; charset=utf-8"
    assert yaml.safe_load(answer.content) == yaml.safe_load(KEPT.read_text("utf-8"))
    tag = answer.headers["ETag"]
    again = Client().get("/api/schema", headers={"Accept": accept, "If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    other = "application/json" if "json" not in kind else "application/yaml"
    assert Client().get("/api/schema", headers={"Accept": other}).headers["ETag"] != tag


def test_it_is_made_once_however_many_ask_at_once_and_whatever_for(made: list[int]) -> None:
    answers: list[tuple[int, bool, str]] = []

    def ask() -> None:
        for query in ("", "?version=evil", "?version=%0d%0aX-Evil:1", "?lang=xx", "?format=yaml"):
            answer = Client().get(f"/api/schema{query}")
            name = answer.headers.get("Content-Disposition", "")
            answers.append((answer.status_code, b"evil" in answer.content, name))

    crowd = [threading.Thread(target=ask) for _ in range(4)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert answers == [(200, False, 'inline; filename="SpeedTrade API.yaml"')] * 20
    assert made == [1]
    Client().get("/api/schema", headers={"Accept": "application/json"})
    Client().get("/api/schema?format=json")
    assert made == [1, 1]


@pytest.mark.parametrize(
    ("method", "path", "accept", "status", "code"),
    [
        ("POST", "/api/schema", "*/*", 405, "method_not_allowed"),
        ("OPTIONS", "/api/schema", "application/yaml", 405, "method_not_allowed"),
        ("GET", "/api/schema", "text/html", 406, "not_acceptable"),
        ("GET", "/api/v1/market/clock", "text/csv", 406, "not_acceptable"),
    ],
)
def test_a_problem_is_json_whatever_was_asked_for(
    method: str, path: str, accept: str, status: int, code: str
) -> None:
    """Fails where the renderer of the document writes it as YAML, under the name of JSON."""
    answer = Client().generic(method, path, headers={"Accept": accept})
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    told = json.loads(answer.content)
    assert (told["code"], told["status"]) == (code, status)
    assert told["detail"] == CATALOGUE[code].remedy
