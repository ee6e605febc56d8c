"""docs/openapi.yaml is the API as it is: whoever changes a door renews it with `make openapi`."""

import io

import yaml
from django.core.management import call_command

from speedtrade.datafolder import PROJECT

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
