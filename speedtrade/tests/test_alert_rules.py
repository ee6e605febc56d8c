"""The alarms have a test of their own, in Prometheus' words; here it is read, and run where it can.

`promtool test rules deploy/prometheus/alerts.test.yml` runs it.
"""

import shutil
import subprocess
from typing import Any

import pytest
import yaml

from speedtrade.datafolder import PROJECT

FOLDER = PROJECT / "deploy" / "prometheus"
RULES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0][
    "rules"
]
TEST: dict[str, Any] = yaml.safe_load((FOLDER / "alerts.test.yml").read_text())
RIGHT, WRONG = TEST["tests"]


def asked(group: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Name of the alarm -> what is expected of it."""
    found = {one["alertname"]: one["exp_alerts"] for one in group["alert_rule_test"]}
    assert len(found) == len(group["alert_rule_test"])
    return found


def test_each_alarm_is_quiet_where_all_is_right_and_wakes_somebody_where_it_is_not() -> None:
    names = [rule["alert"] for rule in RULES]
    assert list(asked(RIGHT)) == list(asked(WRONG)) == names
    assert not any(asked(RIGHT).values())
    for rule in RULES:
        (expected,) = asked(WRONG)[rule["alert"]]
        assert expected["exp_annotations"] == rule["annotations"]
        assert expected["exp_labels"].items() >= rule["labels"].items()


def test_both_groups_tell_the_same_figures_but_for_the_one_whose_absence_is_an_alarm() -> None:
    right, wrong = (
        {one["series"]: one["values"] for one in group["input_series"]} for group in (RIGHT, WRONG)
    )
    assert right.keys() - wrong.keys() == {"speedtrade_orders_open"}
    assert [name for name in wrong if right[name] == wrong[name]] == []
    for rule in RULES:
        metric = rule["expr"].partition("speedtrade_")[2].split("[")[0].split("{")[0]
        metric = "speedtrade_" + metric.split(")")[0].split(" ")[0]
        assert any(series.split("{")[0] == metric for series in right), rule["alert"]


@pytest.mark.parametrize("command", [["check", "rules", "alerts.yml"], ["test", "rules"]])
def test_prometheus_takes_the_rules_and_their_test_where_it_is_installed(
    command: list[str],
) -> None:
    """Without promtool only the reading above looks at them: docs/operations.md has the command."""
    promtool = shutil.which("promtool")
    if promtool is None:
        return
    if command == ["test", "rules"]:
        command = [*command, "alerts.test.yml"]
    done = subprocess.run(
        [promtool, *command], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
