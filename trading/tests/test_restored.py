"""An order that waited when the backup was made may have filled since: it never leaves again."""

from dataclasses import replace
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command

from accounts.models import BrokerageAccount, User
from speedtrade.testing.vendor import CAPS, Vendor
from trading.brokers import registry
from trading.brokers.base import IdScope
from trading.models import Submission, TradingHalt
from trading.services import reconciliation
from trading.services.halts import trading_resume
from trading.services.restored import restored_settle
from trading.tests.desk import Desk


@pytest.fixture
def vendor(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Vendor:
    """A broker that takes the same id as often as it is sent; the account of the desk is there."""
    made = Vendor(caps=replace(CAPS, lookup_is_proof=False, id_scope=IdScope.NONE))
    monkeypatch.setitem(registry._ADAPTERS, "alpaca", lambda account: made)
    return made


def test_what_waited_is_looked_up_and_never_sent(desk: Desk, vendor: Vendor, bob: User):
    """Fails without the settling: the first sweep sends it, and the broker fills it once more."""
    order = desk.place("buy", "10", limit="90.00", tif="gtc")
    BrokerageAccount.objects.filter(pk=order.brokerage_account_id).update(broker="alpaca")
    assert restored_settle(now=desk.now) == 1
    assert restored_settle(now=desk.now) == 0
    halt = TradingHalt.objects.get(lifted_at=None)
    assert "backup" in halt.reason
    trading_resume(actor=bob, reason="The accounts agree.", now=desk.now)
    for minutes in range(1, 30):
        now = desk.now + timedelta(minutes=minutes)
        reconciliation.submissions_sweep(now=now, wake=lambda *words: None)
        desk.send(order)
    assert vendor.sent == []
    assert desk.fresh(order).state == "lost"
    row = Submission.objects.get(order=order)
    assert (row.sends, row.claimed_at) == (1, order.created_at)


def test_the_paper_venue_is_restored_with_the_books_and_takes_its_orders(desk: Desk):
    order = desk.place("buy", "10", limit="90.00", tif="gtc")
    out = StringIO()
    call_command("settle_restored", stdout=out)
    assert "0 orders that waited" in out.getvalue()
    assert desk.fresh(order).state == "pending" and Submission.objects.get(order=order).sends == 0
