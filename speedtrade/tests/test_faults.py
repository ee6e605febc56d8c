"""docs/faults.md names exactly the tests that carry a mark of its rows."""

import ast
import re
from collections import defaultdict

from speedtrade.datafolder import PROJECT

ROW = re.compile(r"^\| (F\d+) \|.*\| ([^|]+) \|$", re.MULTILINE)
ROWS = {f"F{number}" for number in range(1, 35)}
APPS = ("speedtrade", "accounts", "marketdata", "portfolio", "trading", "tests")


def marked() -> dict[str, set[str]]:
    """{row: the tests that carry its mark}."""
    found: dict[str, set[str]] = defaultdict(set)
    for app in APPS:
        for path in (PROJECT / app).rglob("test_*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                for mark in getattr(node, "decorator_list", ()):
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fault":
                        for argument in mark.args:
                            found[ast.literal_eval(argument)].add(node.name)  # type: ignore[attr-defined]
    return found


def test_the_table_of_faults_names_the_tests_that_are_marked() -> None:
    text = (PROJECT / "docs" / "faults.md").read_text()
    told = {row: set(re.findall(r"`(test_\w+)`", tests)) for row, tests in ROW.findall(text)}
    assert told == marked()
    left = set(re.findall(r"F\d+", text[text.index("Not shown yet") :]))
    assert told.keys() | left == ROWS
    assert not told.keys() & left
