"""The style guide shows every component there is, to staff alone."""

from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from accounts.models import User
from speedtrade.templatetags.ui import ORDER_STATUS
from speedtrade.testing.cast import page_client

COMPONENTS = sorted(p.name for p in Path(settings.BASE_DIR, "templates/components").glob("*.html"))


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
