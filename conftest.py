"""One PostgreSQL and one Valkey for a whole test session, started before Django reads its settings.

pytest-django takes DJANGO_SETTINGS_MODULE from the environment here and not from pyproject.toml:
from there it would load the settings before this file has started the servers they name.
Under xdist only the controller starts them; each worker inherits the environment, has a database
of its own (pytest-django names it after the worker) and a Redis database number of its own.
"""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from speedtrade.datafolder import secrets_ensure
from speedtrade.embedded import embedded_servers

pytest_plugins = ["speedtrade.testing.fixtures"]  # the cast, and cleaning past triggers
CHROMIUM = "/usr/bin/chromium"
#: Tests with such a mark share one worker, one after the other.
ALONE = ("serial", "chaos")
#: Marks of tests that wait for another process, and so for the machine. What touches money, locks
#: and orders is not among them: a race there must be seen the first time.
RETRIED = ("e2e", "real_time")

hypothesis.settings.register_profile(
    "ci", derandomize=True, deadline=None, print_blob=True, database=None
)
hypothesis.settings.register_profile("nightly", deadline=None, print_blob=True, max_examples=20_000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

_session = contextlib.ExitStack()


def _forget_surroundings() -> None:
    """Settings in the shell of whoever runs the tests must not change what the tests see."""
    for line in Path(__file__).with_name(".env.example").read_text().splitlines():
        name = line.lstrip("# ").partition("=")[0]
        if "=" in line and name.isidentifier():
            os.environ.pop(name, None)
            os.environ.pop(f"{name}_FILE", None)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    for mark in ALONE:
        config.addinivalue_line(
            "markers", f"{mark}: runs one at a time with its like, on one worker"
        )
    config.addinivalue_line(
        "markers", "e2e: drives a browser; each worker has a browser and a product of its own"
    )
    config.addinivalue_line(
        "markers", "measured: judges a time or a share; runs when no other worker does"
    )
    config.addinivalue_line(
        "markers", "lives: lived through by dice; `make test` measures no lines"
    )
    config.addinivalue_line(
        "markers",
        "real_time: waits for the machine; fails when it failed three times, the summary says so",
    )
    config.addinivalue_line("markers", "fuzz: drives the API by dice; `make fuzz` looks longer")
    config.addinivalue_line(
        "markers", "drill: takes a minute of a processor, or of waiting; `make chaos` has it"
    )
    config.addinivalue_line(
        "markers", "namespaces: needs root over its kernel's namespaces; `make chaos` has it"
    )
    config.addinivalue_line("markers", "nginx: needs nginx, which `make chaos` fetches")
    config.addinivalue_line("markers", "keep_redis: does not empty the Redis database first")
    config.addinivalue_line("markers", "fault(*rows): shows what docs/reliability.md says of them")
    if hasattr(config, "workerinput") or config.getoption("help"):
        return
    if "DJANGO_SETTINGS_MODULE" in os.environ:
        raise pytest.UsageError("Unset DJANGO_SETTINGS_MODULE: the tests choose their settings.")
    _forget_surroundings()
    folder = Path(tempfile.mkdtemp(prefix="speedtrade-tests-"))
    _session.callback(shutil.rmtree, folder, ignore_errors=True)
    database_url, redis_url = _session.enter_context(embedded_servers(folder, durable=False))
    secrets = secrets_ensure(folder)
    os.environ |= {
        "SPEEDTRADE_ENV": "test",
        "SPEEDTRADE_DATA_DIR": str(folder),
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        **{name: secrets[name] for name in ("SECRET_KEY", "JWT_SIGNING_KEY", "FIELD_KEYS")},
        "DJANGO_SETTINGS_MODULE": "speedtrade.settings",
    }
    # pytest-django looked for settings before they had servers; modules of tests import models.
    import django

    django.setup()


def pytest_unconfigure(config: pytest.Config) -> None:
    _session.close()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    base = os.environ["REDIS_URL"].rpartition("/")[0]
    for number, spec in enumerate(specs, start=1):
        spec.env["REDIS_URL"] = f"{base}/{number}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for mark in ALONE:
            if item.get_closest_marker(mark):
                item.add_marker(pytest.mark.xdist_group(mark))
        if any(item.get_closest_marker(mark) for mark in RETRIED):
            item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=3))


@pytest.fixture(autouse=True)
def _empty_redis(request: pytest.FixtureRequest) -> None:
    """Each test starts with an empty Redis database; it costs a tenth of a millisecond."""
    from speedtrade.lib import redis

    redis._rest_until = 0.0  # what the test before saw of an outage
    if not request.node.get_closest_marker("keep_redis"):
        redis.redis_client().flushdb()


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Debian's Chromium instead of a download; root needs its sandbox off."""
    arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "args": arguments}
