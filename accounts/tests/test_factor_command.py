"""`manage.py factor_reset`: the way back in for whoever nobody at the desk can help."""

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import AuditEvent, User
from accounts.second_factor import has_factor
from accounts.services.resets import factor_reset_ask, factor_reset_open
from accounts.tests.test_api_keys import make_key
from speedtrade.testing.cast import give_app, page_client

pytestmark = pytest.mark.django_db


def test_the_command_line_takes_a_lost_factor_away_and_says_so(alice: User, bob: User) -> None:
    """Fails where keys outlive it, or a question of before may still be approved."""
    give_app(alice)
    key = make_key(alice)[0]
    factor_reset_ask(user=alice, actor=bob, reason="She called.", now=timezone.now())
    client = page_client(alice)
    with pytest.raises(CommandError):
        call_command("factor_reset", "alice", " ")
    assert has_factor(alice)
    call_command("factor_reset", "alice", "The phone is in the lake.")
    assert not has_factor(alice)
    assert client.get("/settings").status_code == 302
    key.refresh_from_db()
    assert key.revoked_at is not None and not factor_reset_open(alice)
    row = AuditEvent.objects.get(action="user.factor_reset")
    assert (row.actor, row.reason) == (None, "The phone is in the lake.")
    with pytest.raises(CommandError, match="no second factor"):
        call_command("factor_reset", "alice", "Again.")
