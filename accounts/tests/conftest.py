"""These tests look at users and tokens, whatever the apps above plug into a new account."""

from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone


@pytest.fixture(autouse=True)
def _no_openers(monkeypatch: pytest.MonkeyPatch) -> None:
    from accounts.services import openings

    monkeypatch.setattr(openings, "_OPENERS", [lambda account, now: None])


@pytest.fixture
def post(settings: Any) -> None:
    """A house with a mail server."""
    settings.EMAIL_HOST = "mail.example.com"
    settings.DEFAULT_FROM_EMAIL = "SpeedTrade <no-reply@example.com>"
    settings.SITE_URL = "https://trade.example.com"


@pytest.fixture
def clock() -> Any:
    """Time that stands still until it is moved."""
    with time_machine.travel(timezone.now(), tick=False) as moved:
        yield moved


@pytest.fixture
def web(alice: Any, clock: Any) -> Client:
    """A browser in which alice is logged in."""
    from speedtrade.testing.cast import PASSWORD

    web = Client()
    web.post("/login", {"username": "alice", "password": PASSWORD})
    return web
