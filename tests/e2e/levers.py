"""What puts the product, or the line to it, into a state: each a context that a test holds open.

A lever takes (person, folder), the data folder of the running product.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from playwright.sync_api import Page, Route

from speedtrade.env import read_json
from speedtrade.testing.page_states import NYSE_HOURS, moments
from speedtrade.testing.product import trading_halted_in, web_at
from tests.e2e.conftest import Person

Lever = Callable[[Person, Path], AbstractContextManager[None]]


def nothing(person: Person, folder: Path) -> AbstractContextManager[None]:
    """The state is there already."""
    return nullcontext()


# ── the line ─────────────────────────────────────────────────────────────────
@contextmanager
def bars_held(person: Person, folder: Path) -> Iterator[None]:
    """The chart's bars are on their way, and stay there."""
    with _routed(person.page, "**/bars?*", lambda route: None):
        yield


@contextmanager
def bars_refused(person: Person, folder: Path) -> Iterator[None]:
    with _refused(person, "**/bars?*"):
        yield


@contextmanager
def book_refused(person: Person, folder: Path) -> Iterator[None]:
    with _refused(person, "**/book"):
        yield


@contextmanager
def socket_refused(person: Person, folder: Path) -> Iterator[None]:
    person.page.route_web_socket(re.compile(r"/ws$"), lambda socket: socket.close())
    yield


@contextmanager
def _refused(person: Person, address: str) -> Iterator[None]:
    person.expect_errors("503", "Response Status Error Code")
    headers = {"X-Request-Id": "abc-12345"}
    with _routed(
        person.page, address, lambda route: route.fulfill(status=503, body="{}", headers=headers)
    ):
        yield


@contextmanager
def _routed(page: Page, address: str, answer: Callable[[Route], None]) -> Iterator[None]:
    page.route(address, answer)
    try:
        yield
    finally:
        page.unroute_all(behavior="ignoreErrors")


# ── the clock ────────────────────────────────────────────────────────────────
@contextmanager
def before_the_open(person: Person, folder: Path) -> Iterator[None]:
    with _at(person, folder, "before_the_open"):
        yield


@contextmanager
def after_the_close(person: Person, folder: Path) -> Iterator[None]:
    with _at(person, folder, "after_the_close"):
        yield


@contextmanager
def at_night(person: Person, folder: Path) -> Iterator[None]:
    with _at(person, folder, "at_night"):
        yield


@contextmanager
def _at(person: Person, folder: Path, lever: str) -> Iterator[None]:
    """The person's pages come from a web server of the same copy, with another clock."""
    here = person.product
    _stay_logged_in(person, folder)
    with web_at(folder, moments(datetime.now(UTC))[lever], **NYSE_HOURS) as url:
        person.product = replace(here, url=url)
        person.watch.host = urlsplit(url).netloc
        try:
            yield
        finally:
            person.page.goto("about:blank")
            person.product = here


def _stay_logged_in(person: Person, folder: Path) -> None:
    """The next session may be days away, and nobody is seen until then: it ends later."""
    keys = [cookie["value"] for cookie in person.context.cookies()]
    with psycopg.connect(read_json(folder / "runtime.json")["DATABASE_URL"]) as database:
        database.execute(
            "UPDATE django_session SET expire_date = expire_date + interval '6 days'"
            " WHERE session_key = ANY(%s)",
            [keys],
        )


# ── the house ────────────────────────────────────────────────────────────────
@contextmanager
def trading_halted(person: Person, folder: Path) -> Iterator[None]:
    """The kill switch is on."""
    with trading_halted_in(folder):
        yield


LEVERS: dict[str, Lever] = {
    lever.__name__: lever
    for lever in (
        nothing,
        bars_held,
        bars_refused,
        book_refused,
        socket_refused,
        before_the_open,
        after_the_close,
        at_night,
        trading_halted,
    )
}
