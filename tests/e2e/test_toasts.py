"""What a page tells in its corner, and what it only speaks because its reader wants it so."""

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from speedtrade.testing.world import World
from tests.e2e.conftest import PATIENCE, Person

People = Callable[..., Person]
ORDER = {"id": 7, "symbol": "AAPL", "side": "buy", "filled_qty": "2", "avg_fill_price": "101.5"}
ALERT = {"id": 3, "state": "fired", "fired_at": "2026-01-02T10:00:00Z", "text": "AAPL is at 200"}


class Line:
    """A socket that says what the test wants, and nothing else."""

    def __init__(self, page: Page) -> None:
        self.socket: WebSocketRoute | None = None
        page.route_web_socket(re.compile(r"/ws$"), self._open)

    def _open(self, socket: WebSocketRoute) -> None:
        self.socket = socket

    def say(self, kind: str, thing: dict[str, object]) -> None:
        assert self.socket is not None
        self.socket.send(json.dumps({"type": kind, kind: thing}))


@pytest.fixture
def reader(people: People, world: World) -> Person:
    return people().become(world, "empty")


def listening(person: Person) -> tuple[Page, Line]:
    line = Line(person.page)
    page = person.go("/orders")
    expect(page.locator("#live-dot.on")).to_be_visible(timeout=PATIENCE)
    return page, line


def test_several_cancels_are_told_at_once_and_an_own_one_by_its_answer(reader: Person) -> None:
    page, line = listening(reader)
    toasts = page.locator("#toasts [data-text]")
    for number in (1, 2, 3):
        line.say("order", {**ORDER, "id": number, "status": "canceled"})
    expect(toasts).to_have_text(["3 orders are canceled"])
    line.say("order", {**ORDER, "id": 4, "status": "canceled"})
    page.evaluate(
        "() => { const detail = { id: 4, answered: true };"
        " document.body.dispatchEvent(new CustomEvent('st:order', { detail })); }"
    )
    line.say("order", {**ORDER, "id": 5, "status": "canceled"})
    expect(toasts.last).to_have_text("AAPL: the order is canceled")
    expect(toasts).to_have_count(2)


def test_what_is_switched_off_is_spoken_and_shows_no_toast(reader: Person) -> None:
    page = reader.go("/settings/notifications")
    for label in ("Fills", "Price alerts"):
        page.get_by_label(label).uncheck()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").first.wait_for()
    page, line = listening(reader)
    toasts, voice = page.locator("#toasts [data-text]"), page.locator("#sr")
    line.say("order", {**ORDER, "status": "filled"})
    expect(voice).to_have_text("Bought 2 AAPL at $101.50")
    line.say("alert", ALERT)
    expect(voice).to_have_text("AAPL is at 200")
    line.say("order", {**ORDER, "id": 8, "status": "rejected", "reject_reason": "No."})
    expect(toasts).to_have_text(["AAPL: the order was rejected. No."])

    page = reader.go("/settings/notifications")
    for label in ("Fills", "Price alerts"):
        page.get_by_label(label).check()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").first.wait_for()
    page, line = listening(reader)
    line.say("order", {**ORDER, "status": "filled"})
    expect(page.locator("#toasts [data-text]")).to_have_text(["Bought 2 AAPL at $101.50"])
