"""`manage.py factor_reset`: the way back in for whoever nobody at the desk can help."""

import pytest
from django.core.management import CommandError, call_command

from accounts.models import AuditEvent, User
from accounts.second_factor import has_factor
from speedtrade.testing.cast import give_app, page_client

pytestmark = pytest.mark.django_db


def test_the_command_line_takes_a_lost_factor_away_and_says_so(alice: User) -> None:
    give_app(alice)
    client = page_client(alice)
    with pytest.raises(CommandError):
        call_command("factor_reset", "alice", " ")
    assert has_factor(alice)
    call_command("factor_reset", "alice", "The phone is in the lake.")
    assert not has_factor(alice)
    assert client.get("/settings").status_code == 302
    row = AuditEvent.objects.get(action="user.factor_reset")
    assert (row.actor, row.reason) == (None, "The phone is in the lake.")
    with pytest.raises(CommandError, match="no second factor"):
        call_command("factor_reset", "alice", "Again.")
