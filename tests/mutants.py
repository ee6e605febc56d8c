"""Pytest without our conftest.py, for `make mutants`: no server, one start for all its forks.

The tests that pyproject.toml names for it are of plain Python and need neither database nor Redis.
"""

import os
from typing import Any

import django
import hypothesis
import pytest

os.environ.setdefault("HISTORIES", "300")
os.environ |= {"SPEEDTRADE_ENV": "test", "DJANGO_SETTINGS_MODULE": "speedtrade.settings"}
django.setup()
hypothesis.settings.register_profile("mutants", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("mutants")


def pytest_configure(config: pytest.Config) -> None:
    for mark in ("serial", "lives", "chaos", "fault", "e2e", "keep_redis"):
        config.addinivalue_line("markers", mark)


@pytest.fixture
def settings() -> Any:
    """Ours, for a test that reads them: pytest-django, which has this fixture, stays away."""
    from django.conf import settings

    return settings
