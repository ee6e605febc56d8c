"""Real clicks on the real product: one copy of `manage.py up` for all tests of a worker.

A worker's tests run one after the other, so what one does to its copy (halt trading, change the
settings of somebody of the world) no other one meets. No test may count on another before it: two
workers take them in turns.

Every page is watched: a violation of the CSP, an error on the console, an uncaught exception or a
request to another host fails the test that caused it.
"""

import os
import re
import uuid
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect
from playwright.sync_api import Error as PlaywrightError

from speedtrade.testing.product import Product, product_running
from speedtrade.testing.world import World, cookie_of, world_of

CHROMIUM = Path("/usr/bin/chromium")
PASSWORD = "correct-horse-9-battery"
RUNNING = pytest.StashKey[Product]()
CAME = pytest.StashKey["list[Person]"]()
LINES_SHOWN = 200  # of the product's output below a test that failed
PATIENCE = 20_000  # milliseconds for what a page does, or the worker and the venue behind it
expect.set_options(timeout=PATIENCE)  # a limit that is meant stands at its own `expect`


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.e2e)
            if not CHROMIUM.exists() and "CI" not in os.environ:
                item.add_marker(pytest.mark.skip(reason=f"{CHROMIUM} is not here"))


@pytest.fixture(scope="session")
def product_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("product") / "data"


@pytest.fixture(scope="session")
def product(product_folder: Path, pytestconfig: pytest.Config) -> Iterator[Product]:
    # The people of the world logged in before the first test, and stay for the last.
    with product_running(product_folder, SESSION_IDLE_LIVE_MINUTES="720") as running:
        pytestconfig.stash[RUNNING] = running
        yield running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed shows its pages and what the product said: a 500 tells no cause."""
    report = yield
    product = item.config.stash.get(RUNNING, None)
    if report.failed and product is not None:
        said = [line for line in list(product.lines) if "[info " not in line]
        report.sections.append(("Captured product output", "".join(said[-LINES_SHOWN:])))
        for person in item.stash.get(CAME, ()):
            report.sections.append((f"The page at {person.page.url}", person.words()))
    return report


@pytest.fixture(scope="session")
def world(product: Product, product_folder: Path) -> World:
    """The users in hard states: `world["mixed"]["orders"]["rejected"]` is an order's number."""
    return world_of(product_folder)


@dataclass
class Watch:
    """What a page must never do, as it is seen to do it."""

    host: str
    wrong: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()

    def on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(part in message.text for part in self.expected):
            self.wrong.append(f"console: {message.text}")

    def on_exception(self, error: Any) -> None:
        # Chromium's own word for a cross-fade between two pages that it left out; no script of a
        # page can catch it.
        if "ViewTransition opt-in disabled" not in str(error):
            self.wrong.append(f"exception: {error}")

    def on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.netloc != self.host:
            self.wrong.append(f"another host: {request.url}")

    def follow(self, page: Page) -> Page:
        page.on("console", self.on_console)
        page.on("pageerror", self.on_exception)
        page.on("request", self.on_request)
        return page


class Person:
    """Somebody with a browser of their own."""

    def __init__(self, context: BrowserContext, product: Product) -> None:
        self.context, self.product = context, product
        self.watch = Watch(urlsplit(product.url).netloc)
        context.set_default_timeout(PATIENCE)  # of every page of theirs
        self.page = self.watch.follow(context.new_page())
        self.name = f"p{uuid.uuid4().hex[:10]}"

    def go(self, path: str) -> Page:
        self.page.goto(f"{self.product.url}{path}")
        return self.page

    def register(self) -> "Person":
        """Open an account by what the page's form sends, and be on the dashboard."""
        address, http = f"{self.product.url}/register", self.context.request
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', http.get(address).text())
        assert token
        person = {"username": self.name, "email": f"{self.name}@example.com"}
        sent = {**person, "password": PASSWORD, "paper": "on", "csrfmiddlewaretoken": token[1]}
        answer = http.post(address, form=sent, max_redirects=0)
        assert answer.status == 302, answer.text()
        self.go("/dashboard")
        return self

    def register_on_the_page(self) -> "Person":
        self.go("/register")
        self.page.get_by_label("Name").fill(self.name)
        self.page.get_by_label("E-mail").fill(f"{self.name}@example.com")
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_label("paper money").check()
        self.page.get_by_role("button", name="Open account").click()
        self.page.wait_for_url("**/dashboard")
        return self

    def words(self) -> str:
        """What the page says as it stands, for a test that failed on it."""
        try:
            return self.page.locator("main").inner_text(timeout=1000)
        except PlaywrightError as error:
            return str(error)

    def become(self, world: World, name: str) -> "Person":
        """Be somebody of the world from the next page on; "nobody" is logged out."""
        self.context.clear_cookies()
        if name != "nobody":
            self.context.add_cookies([cookie_of(world, name, self.product.url)])
        return self

    def expect_errors(self, *parts: str) -> None:
        """Console lines with these words are part of the test (a 422 is one for Chromium)."""
        self.watch.expected += parts


@pytest.fixture
def people(browser: Browser, product: Product, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A function that brings somebody in: `people(java_script_enabled=False)`."""
    came = request.node.stash[CAME] = []

    def bring(**options: Any) -> Person:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        came.append(Person(context, product))
        return came[-1]

    yield bring
    for person in came:
        person.context.close()
    assert [wrong for person in came for wrong in person.watch.wrong] == []
