"""The floor of `page_cpu` draws what the pages draw: a page that changes takes it along."""

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from speedtrade.testing.states import full_make
from tests.bench.fstrings import rows_page
from tests.bench.pages import HELD, ORDERS, PATHS, bare, lines_of, rows_shown, token_of


@pytest.mark.django_db
def test_the_floor_shows_the_very_rows_of_the_pages(client: Client) -> None:
    full_make(timezone.now(), "benchfull", positions=HELD, working=ORDERS, orders=60)
    user = User.objects.get(username="benchfull")
    client.force_login(user)
    shown = "".join(client.get(path).content.decode() for path in PATHS)
    assert bare(rows_page(*lines_of(user), token_of(shown))) == bare(rows_shown(shown))
