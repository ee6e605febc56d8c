"""What the README says to type works when it is typed."""

import json
import re
import subprocess
from typing import Any

from speedtrade.datafolder import PROJECT
from speedtrade.testing.product import Product


def test_the_api_in_a_minute_works_as_it_is_written(product: Product):
    readme = (PROJECT / "README.md").read_text("utf-8")
    section = readme.partition("## The API in a minute")[2]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block is not None
    script = block[1].replace("http://127.0.0.1:8000", product.url)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    decoder, rest, answers = json.JSONDecoder(), done.stdout, list[Any]()
    while rest := rest.lstrip():
        answer, end = decoder.raw_decode(rest)
        answers.append(answer)
        rest = rest[end:]
    user, quotes, order, orders, portfolio = answers
    assert user["username"] == "ada"
    assert [quote["symbol"] for quote in quotes["quotes"]] == ["AAPL", "BTC/USD"]
    assert (order["symbol"], order["qty"]) == ("AAPL", "3")
    assert [one["id"] for one in orders["results"]] == [order["id"]]
    assert portfolio["currency"] == "USD"
