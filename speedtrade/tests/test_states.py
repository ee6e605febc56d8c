"""The users in hard states are made with clean books, and each is in the state of its name."""

import pytest
from django.utils import timezone

from accounts.models import AccountStatus, BrokerageAccount, User
from accounts.selectors import account_for_user
from marketdata.services.instruments import instruments_load
from portfolio.models import Position
from portfolio.services.rebuild import ledger_differences
from speedtrade.testing import states
from speedtrade.testing.cast import make_user
from trading.models import Order


@pytest.mark.django_db
def test_the_users_in_hard_states_have_clean_books() -> None:
    now = timezone.now()
    instruments_load()
    mixed = states.mixed_make(now)
    states.extremes_make(now)
    connected = states.connected_make(now)
    states.frozen_make(make_user("desk", staff=True), now)
    states.full_make(now, positions=30, working=5, orders=200)
    assert [str(one) for one in ledger_differences()] == []
    found = {name: Order.objects.get(pk=pk).state for name, pk in mixed.items()}
    assert found == {
        "filled": "filled",
        "rejected": "rejected",
        "part_canceled": "canceled",
        "expired": "expired",
        "partial": "partially_filled",
        "working": "new",
        "sold": "filled",
    }
    accounts = {
        name: account_for_user(user=User.objects.get(username=name)) for name in ("frozen", "full")
    }
    assert accounts["frozen"].status == AccountStatus.FROZEN
    modes = BrokerageAccount.objects.in_bulk(connected.values())
    assert modes[connected["live"]].is_live and modes[connected["error"]].status == "error"
    assert Position.objects.filter(brokerage_account=accounts["full"], qty__gt=0).count() == 30
    assert Order.objects.filter(brokerage_account=accounts["full"]).count() == 200
