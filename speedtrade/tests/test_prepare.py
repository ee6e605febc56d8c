"""`manage.py prepare` may run at every start."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from accounts.models import User
from accounts.services.staff import support_group_ensure
from marketdata.models import Instrument
from portfolio.models import LedgerAccount

pytestmark = pytest.mark.django_db


def prepare(*arguments: str) -> None:
    call_command("prepare", *arguments, verbosity=0, stdout=StringIO())


def test_the_second_time_changes_nothing() -> None:
    def world() -> tuple[int, int, list[Any]]:
        balances = LedgerAccount.objects.order_by("pk").values_list("pk", "balance", "reserved")
        return Instrument.objects.count(), User.objects.count(), list(balances)

    prepare("--demo")
    first = world()
    assert first[0] >= 72
    assert first[1] >= 1
    prepare("--demo")
    assert world() == first


def test_support_staff_of_before_may_do_what_a_release_adds() -> None:
    group = support_group_ensure()
    group.permissions.clear()
    prepare()
    assert group.permissions.exists()


def test_production_gets_instruments_and_no_demo_user() -> None:
    prepare()
    assert Instrument.objects.filter(symbol="AAPL").exists()
    assert not User.objects.exists()


def test_production_collects_the_files_of_this_release(settings: Any, tmp_path: Path) -> None:
    settings.PRODUCTION = True
    settings.STATIC_ROOT = str(tmp_path / "served" / "static")
    prepare()
    assert (tmp_path / "served" / "static" / "css" / "tokens.css").is_file()
