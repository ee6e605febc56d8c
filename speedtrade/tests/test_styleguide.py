"""The style guide shows every component there is, to staff alone."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from accounts.models import User
from speedtrade.templatetags.ui import ORDER_STATUS
from speedtrade.testing.cast import page_client
from speedtrade.testing.page_states import VISITS

TEMPLATES = Path(settings.BASE_DIR, "templates")
COMPONENTS = sorted(path.name for path in (TEMPLATES / "components").glob("*.html"))
STATES = {path.stem.removeprefix("_") for path in (TEMPLATES / "states").glob("*.html")}
MARK = re.compile(r'data-state="(\w+)"')


@pytest.fixture
def staff(bob: User) -> Client:
    return page_client(bob)


def test_for_everybody_else_there_is_no_such_page(alice: User):
    assert page_client(alice).get("/styleguide").status_code == 404
    assert Client().get("/styleguide").url == "/login?next=/styleguide"


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_component_is_shown(staff: Client, component: str):
    used = {template.name for template in staff.get("/styleguide").templates}
    assert f"components/{component}" in used, (
        f"Show components/{component} in templates/styleguide.html, in each of its states."
    )


def test_the_style_guide_shows_every_state_of_a_page(staff: Client):
    main = staff.get("/styleguide").content.decode().partition("<main")[2].partition("</main>")[0]
    assert set(MARK.findall(main)) == STATES


def test_a_browser_meets_every_state_of_a_page():
    assert set(VISITS) == STATES


def test_the_list_of_states_in_the_handbook_is_whole():
    table = (TEMPLATES / "README.md").read_text().partition("## States\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `_(\w+)\.html`", table, re.MULTILINE)) == STATES


def test_a_state_is_written_in_its_template_and_nowhere_else():
    written: dict[str, set[str]] = {}
    for path in TEMPLATES.rglob("*.html"):
        for state in MARK.findall(path.read_text()):
            written.setdefault(state, set()).add(str(path.relative_to(TEMPLATES)))
    assert written == {state: {f"states/_{state}.html"} for state in STATES}


def test_every_status_of_an_order_is_shown(staff: Client):
    text = staff.get("/styleguide").content.decode()
    for words, _, _ in ORDER_STATUS.values():
        assert words in text


@pytest.mark.parametrize(
    ("query", "theme", "palette"),
    [
        ("", "system", ""),
        ("?theme=dark&palette=cb", "dark", "cb"),
        ('?theme="><b>&palette=x', "system", ""),
    ],
)
def test_its_look_is_chosen_in_the_address(staff: Client, query: str, theme: str, palette: str):
    answer = staff.get(f"/styleguide{query}")
    assert (answer.context["theme"], answer.context["palette"]) == (theme, palette)
    text = answer.content.decode()
    assert f'data-theme="{theme}"' in text and f'data-palette="{palette}"' in text
    assert User.objects.get(username="bob").palette == ""
