"""Alpaca's own document of market data, against which the data vendor checks what it says."""

import json
from functools import cache
from typing import Any

import msgpack
from jsonschema import Draft202012Validator

from speedtrade.testing.vendors.spec import FOLDER, FORMATS, Drift

#: Messages of the stream that have a schema of REST, less their `T` and `S`.
STREAMED = {"q": "stock_quote", "t": "stock_trade"}


@cache
def _document() -> dict[str, Any]:
    """The market data document; raises where `make test` has not fetched it yet."""
    path = FOLDER / "market-data-api.json"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run python tools/vendor_specs.py")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@cache
def _validator(path: str, name: str) -> Draft202012Validator:
    """Of the 200 answer of a path, or of a thing by its name."""
    document = _document()
    schema: dict[str, Any] = {"$ref": f"#/components/schemas/{name}"}
    if path:
        answer = document["paths"][path]["get"]["responses"]["200"]
        while "$ref" in answer:
            answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        schema = answer["content"]["application/json"]["schema"]
    whole = {**schema, "components": document["components"]}
    return Draft202012Validator(whole, format_checker=FORMATS)


def check_data_reply(path: str, body: Any) -> None:
    """Raise Drift where an answer is not one that the document allows. Assets are not in it."""
    if path in _document()["paths"]:
        _complain(_validator(path, ""), body)


def check_data_message(message: dict[str, Any]) -> None:
    """Raise Drift where a message is no quote or trade; its time is a msgpack timestamp."""
    if not isinstance(message["t"], msgpack.Timestamp):
        raise Drift("t must be a msgpack timestamp")
    bare = {name: value for name, value in message.items() if name not in ("T", "S")}
    bare["t"] = message["t"].to_datetime().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    _complain(_validator("", STREAMED[message["T"]]), bare)


def _complain(validator: Draft202012Validator, body: Any) -> None:
    faults = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(body)]
    if faults:
        raise Drift("; ".join(faults[:5]))
