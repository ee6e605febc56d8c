"""The examples for systemd, nginx and Caddy say the same as the code does."""

import configparser
import re

import pytest

from speedtrade.datafolder import PROJECT
from speedtrade.processes import PREPARE, STOP_ORDER, Process

DEPLOY = PROJECT / "deploy"
PYTHON = "/opt/speedtrade/.venv/bin/python"
VALUES = {"bind": "127.0.0.1", "port": "8000", "folder": "/run/speedtrade"}
NAMES = [process.name for process in STOP_ORDER]


def unit(name: str) -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment, method-assign]
    parsed.read_string((DEPLOY / "systemd" / name).read_text())
    return parsed


@pytest.mark.parametrize("process", STOP_ORDER, ids=lambda process: process.name)
def test_a_unit_runs_the_command_that_up_runs_and_gives_it_time_to_end(process: Process) -> None:
    service = unit(f"speedtrade-{process.name}.service")["Service"]
    command = " ".join([PYTHON, *process.command(VALUES)[1:]])
    assert service["ExecStart"].replace("%%", "%") == command
    assert float(service["TimeoutStopSec"]) > process.grace
    assert service["User"] == "speedtrade" and service["NoNewPrivileges"] == "yes"


def test_the_target_starts_all_of_them_and_a_timer_backs_up() -> None:
    text = (DEPLOY / "systemd" / "speedtrade.target").read_text()
    assert sorted(re.findall(r"Wants=speedtrade-(\w+)\.service", text)) == sorted(NAMES)
    files = {path.name for path in (DEPLOY / "systemd").glob("*.service")}
    assert files == {f"speedtrade-{name}.service" for name in [*NAMES, "backup", "prepare"]}
    prepare = " ".join([PYTHON, *PREPARE[1:]])
    assert unit("speedtrade-prepare.service")["Service"]["ExecStart"] == prepare
    text = (DEPLOY / "systemd" / "speedtrade-prepare.service").read_text()
    files = re.findall(r"^EnvironmentFile=(.*)$", text, re.MULTILINE)
    assert files == ["/etc/speedtrade/env", "-/etc/speedtrade/owner.env"]  # the last one wins
    assert "manage.py backup" in unit("speedtrade-backup.service")["Service"]["ExecStart"]
    assert unit("speedtrade-backup.timer")["Timer"]["Persistent"] == "yes"


def test_the_proxies_set_what_the_house_believes_of_them() -> None:
    nginx = (DEPLOY / "nginx" / "speedtrade.conf").read_text()
    for line in (
        "proxy_set_header Host $host;",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "proxy_set_header X-Forwarded-Proto https;",
        "proxy_set_header Upgrade $http_upgrade;",
        'proxy_set_header Daphne-Root-Path "";',
    ):
        assert line in nginx
    assert nginx.count("{") == nginx.count("}")
    assert nginx.count("server_tokens off;") == nginx.count("server {")
    ciphers = re.findall(r"^ +ssl_ciphers (\S+);", nginx, re.MULTILINE)
    assert len(ciphers) == 1
    for cipher in ciphers[0].split(":"):  # forward secrecy, and no CBC
        assert re.fullmatch(r"ECDHE-(ECDSA|RSA)-(AES\d+-GCM-SHA\d+|CHACHA20-POLY1305)", cipher)
    caddy = (DEPLOY / "caddy" / "Caddyfile").read_text()
    assert "header_up -Daphne-Root-Path" in caddy
    assert "health_uri /health/ready" in caddy and caddy.count("{") == caddy.count("}")
