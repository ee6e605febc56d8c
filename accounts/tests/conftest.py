"""These tests look at users and tokens, whatever the apps above plug into a new account."""

import pytest


@pytest.fixture(autouse=True)
def _no_openers(monkeypatch: pytest.MonkeyPatch) -> None:
    from accounts.services import openings

    monkeypatch.setattr(openings, "_OPENERS", [lambda account, now: None])
