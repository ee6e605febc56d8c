"""The kill switch: nothing new leaves, everything can be cancelled, and one database is enough."""

import threading
from typing import Any

import pytest
import redis
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.services.accounts import account_resume, account_stop
from speedtrade.lib.errors import DomainError
from speedtrade.testing.cast import make_user, page_client
from speedtrade.testing.waiting import wait_until
from trading.models import Submission, TradingHalt
from trading.services.halts import trading_halt, trading_resume
from trading.tests.desk import Desk


def refusal(desk: Desk) -> str:
    with pytest.raises(DomainError) as refused:
        desk.place("buy", "1")
    return refused.value.code


def test_a_halt_refuses_new_orders_and_lets_cancels_pass(desk: Desk):
    resting = desk.work(desk.place("buy", "5", limit="90.00"))
    trading_halt(actor=desk.user, reason="The feed went mad.", now=desk.now)
    assert refusal(desk) == "trading_halted"
    assert desk.cancel(resting).state == "canceled"
    assert desk.reserved == 0
    desk.check()


def test_what_waits_in_the_outbox_is_not_sent_while_trading_is_halted(desk: Desk):
    waiting = desk.place("buy", "5", limit="90.00")
    trading_halt(actor=None, reason="Look first.", now=desk.now)
    assert desk.send(waiting).state == "pending"
    desk.wait(10)
    desk.sweep()
    assert desk.fresh(waiting).state == "pending"
    trading_resume(actor=None, reason="All is well.", now=desk.now)
    desk.sweep()
    assert desk.fresh(waiting).state in {"accepted", "new"}
    desk.check()


def test_an_order_that_waits_out_a_halt_can_be_cancelled(desk: Desk):
    waiting = desk.place("buy", "5", limit="90.00")
    trading_halt(actor=None, reason="Look first.", now=desk.now)
    assert desk.cancel(waiting).state == "canceled"
    assert desk.reserved == 0


def test_orders_are_taken_again_after_trading_resumes(desk: Desk):
    trading_halt(actor=desk.user, reason="A drill.", now=desk.now)
    assert trading_resume(actor=desk.user, reason="The drill is over.", now=desk.now)
    assert desk.trade("buy", "1").state == "filled"


def test_the_switch_is_harmless_twice_and_leaves_one_audit_row_a_turn(desk: Desk):
    first, made = trading_halt(actor=desk.user, reason="First.", now=desk.now)
    second, again = trading_halt(actor=desk.user, reason="Second.", now=desk.now)
    assert (made, again, second.pk, second.reason) == (True, False, first.pk, "First.")
    assert trading_resume(actor=desk.user, reason="Enough.", now=desk.now)
    assert not trading_resume(actor=desk.user, reason="Enough.", now=desk.now)
    events = AuditEvent.objects.filter(action__startswith="trading.").order_by("id")
    assert [(row.action, row.target, row.reason) for row in events] == [
        ("trading.halt", f"halt:{first.pk}", "First."),
        ("trading.resume", f"halt:{first.pk}", "Enough."),
    ]


def test_every_page_of_a_user_says_that_trading_is_paused_until_it_is_not(desk: Desk):
    web, words = page_client(desk.user), "Trading is paused: The feed went mad."
    pages = ["/dashboard", "/orders", "/settings", "/markets/AAPL", "/learn", "/nowhere"]
    assert words not in web.get("/dashboard").content.decode()
    trading_halt(actor=None, reason="The feed went mad.", now=desk.now)
    for path in pages:
        assert words in web.get(path).content.decode(), path
    assert words not in Client().get("/learn").content.decode()
    trading_resume(actor=None, reason="All is well.", now=desk.now)
    assert words not in web.get("/dashboard").content.decode()


def test_nobody_halts_or_resumes_trading_without_a_reason(desk: Desk):
    with pytest.raises(DomainError):
        trading_halt(actor=desk.user, reason="  ", now=desk.now)
    with pytest.raises(DomainError):
        trading_resume(actor=desk.user, reason="", now=desk.now)
    assert not TradingHalt.objects.exists()


def test_the_commands_work_with_redis_away(
    db: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def away(*args: Any, **options: Any) -> None:
        raise redis.ConnectionError("nobody is there")

    monkeypatch.setattr(redis.connection.Connection, "connect", away)
    monkeypatch.setattr(redis.Redis, "execute_command", away)
    call_command("halt_trading", "Redis is away.")
    call_command("halt_trading", "Again.")
    call_command("resume_trading")
    call_command("resume_trading")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Trading is halted: Redis is away."
    assert said[1].endswith("UTC: Redis is away.")
    assert said[2:] == ["Trading has resumed.", "Trading was not halted."]
    assert AuditEvent.objects.filter(action__startswith="trading.", actor=None).count() == 2


def test_the_commands_say_in_one_line_what_they_need(db: None):
    for command in ("halt_trading", "resume_trading"):
        with pytest.raises(CommandError, match="Say why"):
            call_command(command, "")


@pytest.mark.django_db(transaction=True)
def test_of_two_hands_on_the_switch_one_halts():
    bob = make_user("bob", staff=True)
    second: list[bool] = []

    def pull() -> None:
        try:
            second.append(trading_halt(actor=bob, reason="Me too.", now=timezone.now())[1])
        finally:
            connection.close()

    hand = threading.Thread(target=pull)
    with transaction.atomic():
        assert trading_halt(actor=bob, reason="Me first.", now=timezone.now())[1]
        hand.start()
        # Without the lock the second hand would be through here: it cannot see the first one.
        wait_until(lambda: second or _somebody_waits(), 10, "the second hand neither waits nor won")
    hand.join()
    assert second == [False]
    assert TradingHalt.objects.count() == 1


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return bool(cursor.fetchone()[0])


def test_a_cancel_by_support_leaves_its_audit_row_in_the_same_transaction(desk: Desk):
    from trading.services.orders import order_cancel

    order = desk.work(desk.place("buy", "5", limit="90.00"))
    order_cancel(order=order, actor=desk.user, source="admin", reason="They called.", now=desk.now)
    event = AuditEvent.objects.get(action="order.cancel")
    assert (event.target, event.reason, event.actor) == (
        f"order:{order.pk}",
        "They called.",
        desk.user,
    )
    assert event.data == {"from": order.state, "to": "pending_cancel"}
    assert Submission.objects.filter(order=order, action="cancel").exists()


def test_the_owners_own_switch_stops_new_orders_and_lets_cancels_pass(desk: Desk):
    resting = desk.work(desk.place("buy", "5", limit="90.00"))
    account_stop(account=desk.account, actor=desk.user, now=desk.now)
    assert refusal(desk) == "account_not_active"
    assert desk.cancel(resting).state == "canceled"
    account_resume(account=desk.account, actor=desk.user, now=desk.now)
    assert desk.trade("buy", "1").state == "filled"
    desk.check()
