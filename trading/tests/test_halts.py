"""The kill switch: nothing new leaves, everything can be cancelled, and one database is enough."""

import html
import json
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.services.accounts import (
    account_freeze,
    account_resume,
    account_stop,
    account_unfreeze,
)
from marketdata.services.instruments import instrument_halt, instrument_resume
from speedtrade.lib import live
from speedtrade.lib.errors import DomainError
from speedtrade.testing.cast import make_user, page_client
from speedtrade.testing.waiting import wait_until
from trading.models import Order, PaperOrder, Submission, TradingHalt
from trading.services.halts import trading_halt, trading_resume
from trading.services.reconciliation import submission_recover
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


@pytest.mark.parametrize("by", ["everybody", "owner", "support"])
def test_what_was_claimed_and_never_arrived_is_not_sent_while_trading_is_stopped(
    desk: Desk, by: str
):
    """Fails where the look that proves it absent sends it on by itself, whatever is stopped."""
    order = desk.place("buy", "5", limit="90.00")
    # A worker claimed it and was killed on the way.
    Order.objects.filter(pk=order.pk).update(state="submitting")
    claimed = {"claimed_at": desk.now, "attempts": 1, "sends": 1, "sent_at": desk.now}
    Submission.objects.filter(order=order).update(**claimed)
    staff = make_user("staff", staff=True)
    stop, resume = {
        "everybody": (
            lambda: trading_halt(actor=None, reason="Look first.", now=desk.now),
            lambda: trading_resume(actor=None, reason="All is well.", now=desk.now),
        ),
        "owner": (
            lambda: account_stop(account=desk.account, actor=desk.user, now=desk.now),
            lambda: account_resume(account=desk.account, actor=desk.user, now=desk.now),
        ),
        "support": (
            lambda: account_freeze(
                account_id=desk.account.pk, actor=staff, reason="asked", now=desk.now
            ),
            lambda: account_unfreeze(
                account_id=desk.account.pk, actor=staff, reason="all is well", now=desk.now
            ),
        ),
    }[by]
    stop()
    submission = Submission.objects.get(order=order)
    for _ in range(3):
        desk.wait(20)
        submission_recover(submission_id=submission.pk, now=desk.now)
    assert not PaperOrder.objects.exists() and desk.fresh(order).state == "submitting"
    resume()
    desk.account.refresh_from_db()
    desk.wait(20)
    submission_recover(submission_id=submission.pk, now=desk.now)
    assert PaperOrder.objects.count() == 1


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


def test_every_page_of_a_user_says_that_trading_is_halted_until_it_is_not(desk: Desk):
    web, words = page_client(desk.user), "Trading is halted: The feed went mad."
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


# ── open pages ───────────────────────────────────────────────────────────────
def mark_of(page: str) -> str:
    """The address under which a page asks whether orders are taken."""
    found = re.search(r'hx-get="(/standing[^"]+)"', page)
    assert found, page[:500]
    return html.unescape(found[1])


def halts(desk: Desk) -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """What shuts a ticket and opens it again, by the words that say it."""
    who = {"actor": desk.user, "reason": "A drill.", "now": desk.now}
    mine = {"account": desk.account, "actor": desk.user, "now": desk.now}
    theirs = {"account_id": desk.account.pk, **who}
    return {
        "Trading is halted: A drill.": (
            lambda: trading_halt(**who),
            lambda: trading_resume(**who),
        ),
        "AAPL is halted: A drill.": (
            lambda: instrument_halt(symbol="AAPL", **who),
            lambda: instrument_resume(symbol="AAPL", **who),
        ),
        "You have stopped this account": (
            lambda: account_stop(**mine),
            lambda: account_resume(**mine),
        ),
        "The account is frozen: A drill.": (
            lambda: account_freeze(**theirs),
            lambda: account_unfreeze(**theirs),
        ),
    }


@pytest.mark.parametrize("number", range(4))
def test_an_open_page_is_told_what_shuts_its_ticket_and_what_opens_it(desk: Desk, number: int):
    words, turns = list(halts(desk).items())[number]
    web, seen = page_client(desk.user), page_client(desk.user).get("/markets/AAPL")
    address = mark_of(seen.content.decode())
    for turn, said in zip(turns, (words, "Orders are taken."), strict=True):
        assert web.get(address).status_code == 204, "nothing is new"
        turn()
        answer = web.get(address)
        assert answer.status_code == 200
        told = json.loads(answer.headers["HX-Trigger"])["st:say"]["text"]
        assert told.startswith(said), told
        assert "st:shut" in answer.headers["HX-Trigger-After-Swap"]
        ticket = web.get("/markets/AAPL/ticket").content.decode()
        assert ('id="ticket-blocked"' in ticket) is (turn is turns[0])
        address = mark_of(answer.content.decode())
    page = answer.content.decode()
    assert "hx-swap-oob" not in page and "<html" not in page, "no place was named"


def test_each_place_of_a_page_that_says_it_is_fetched_by_its_name(desk: Desk):
    web = page_client(desk.user)
    for path, places in (
        ("/markets/AAPL", {"standing", "symbol-state", "symbol-halt"}),
        ("/markets", {"standing", "stocks-state"}),
        ("/dashboard", {"standing", "account-state", "market-state"}),
        ("/portfolio", {"standing", "account-state"}),
        ("/transfers", {"standing", "account-state"}),
    ):
        page = web.get(path).content.decode()
        for place in places:
            assert page.count(f'id="{place}"') == 1, (path, place)
        assert page.count("data-standing") == len(places) - 1
    for place in ("account-state", "symbol-state", "symbol-halt", "market-state", "stocks-state"):
        answer = web.get(f"/standing?symbol=AAPL&places={place}").content.decode()
        assert answer.count(f'id="{place}" class="bare" data-standing hx-swap-oob="true"') == 1
        assert answer.count("hx-swap-oob") == 1


def test_a_shut_ticket_keeps_what_was_typed(desk: Desk):
    web = page_client(desk.user)
    typed = {"side": "sell", "order_type": "limit", "limit_price": "123", "amount": "7"}
    trading_halt(actor=None, reason="A drill.", now=desk.now)
    shut = web.post("/markets/AAPL/ticket", typed).content.decode()
    again = re.search(r'hx-get="(/markets/AAPL/ticket\?[^"]+)"', shut)
    assert again and 'value="123"' in shut
    trading_resume(actor=None, reason="It is over.", now=desk.now)
    opened = web.get(html.unescape(again[1])).content.decode()
    assert 'value="123"' in opened and 'value="7"' in opened and 'id="ticket-blocked"' not in opened
    assert 'value="sell" checked' in opened and "hx-include" in opened


# ── the clock ────────────────────────────────────────────────────────────────
def turns_in(page: str) -> int | None:
    """In how many seconds a page asks by itself."""
    found = re.search(r'data-turns-in="(\d+)"', page)
    return int(found[1]) if found else None


def at(desk: Desk, moment: datetime, web: Client, address: str) -> Any:
    desk.clock.move_to(moment)
    return web.get(address)


@pytest.mark.parametrize(
    ("turn", "before", "after", "said"),
    [
        ("2026-11-18T14:30", "Review order to queue", "Review order<", "The market has opened."),
        ("2026-11-18T21:00", "Review order<", "Review order to queue", "The market has closed"),
    ],
)
def test_an_open_page_learns_when_the_market_opens_or_closes(
    desk: Desk, settings: Any, turn: str, before: str, after: str, said: str
):
    settings.SIMULATED_MARKET_HOURS = "nyse"
    moment = datetime.fromisoformat(turn).replace(tzinfo=UTC)
    web, soon = page_client(desk.user), moment - timedelta(seconds=90.5)
    page = at(desk, soon, web, "/markets/AAPL").content.decode()
    assert turns_in(page) == 91 and before in page
    address = f"{mark_of(page)}&places=symbol-state"
    assert at(desk, moment - timedelta(seconds=1), web, address).status_code == 204
    answer = at(desk, moment, web, address)
    assert answer.status_code == 200
    assert json.loads(answer.headers["HX-Trigger"])["st:say"]["text"].startswith(said)
    assert "st:shut" in answer.headers["HX-Trigger-After-Swap"]
    pill = "Market open" if after == "Review order<" else "After hours · opens"
    assert pill in answer.content.decode()
    assert after in at(desk, moment, web, "/markets/AAPL/ticket").content.decode()
    left = turns_in(answer.content.decode())
    assert left and left > 3600, "it asks again at the next turn, and not before"


def test_a_page_without_a_symbol_follows_the_market_of_stocks(desk: Desk, settings: Any):
    settings.SIMULATED_MARKET_HOURS = "nyse"
    opens = datetime(2026, 11, 18, 14, 30, tzinfo=UTC)
    web = page_client(desk.user)
    page = at(desk, opens - timedelta(minutes=1), web, "/dashboard").content.decode()
    assert turns_in(page) == 60 and "Pre-market · opens" in page
    assert 'data-market="shut"' in page, "what stands still there is not old"
    address = f"{mark_of(page)}&places=market-state+stocks-state"
    answer = at(desk, opens, web, address).content.decode()
    assert "Pre-market" not in answer and "Stocks open" in answer
    assert "data-market" not in answer


def test_what_never_closes_is_asked_by_nobody(desk: Desk, settings: Any):
    web = page_client(desk.user)
    assert turns_in(web.get("/markets/AAPL").content.decode()) is None, "always open"
    settings.SIMULATED_MARKET_HOURS = "nyse"
    desk.instrument("BTC/USD", asset_type="crypto")
    assert turns_in(web.get("/markets/BTC-USD").content.decode()) is None
    assert turns_in(web.get("/markets/AAPL").content.decode()) is not None


def test_another_users_account_says_nothing_to_me(desk: Desk, charlie: Any):
    web = page_client(charlie)
    address = mark_of(web.get("/markets/AAPL").content.decode())
    account_stop(account=desk.account, actor=desk.user, now=desk.now)
    assert web.get(address).status_code == 204
    assert web.get(f"{address}&account_id={desk.account.pk}").status_code == 404


@pytest.mark.parametrize("number", range(2))
def test_every_socket_is_told_once_a_halt_is_committed(
    desk: Desk, monkeypatch: Any, django_capture_on_commit_callbacks: Any, number: int
):
    sent: list[Any] = []
    monkeypatch.setattr(live, "_send", lambda *event: sent.append(event))
    thing = (0, desk.instrument().pk)[number]
    for turn in list(halts(desk).values())[number]:
        with django_capture_on_commit_callbacks(execute=True):
            turn()
            assert not sent
        assert sent.pop() == (live.EVERYONE, "halt", thing, None)
    with django_capture_on_commit_callbacks(execute=True):
        assert not trading_resume(actor=None, reason="Again.", now=desk.now)
    assert not sent, "nothing has changed"


def test_the_message_names_the_symbol_and_no_more(desk: Desk, charlie: Any):
    aapl = desk.instrument()
    assert live.render_event("halt", charlie.pk, 0) == {"type": "halt", "symbol": None}
    assert live.render_event("halt", charlie.pk, aapl.pk) == {"type": "halt", "symbol": "AAPL"}
    assert live.render_event("halt", charlie.pk, aapl.pk + 999) is None
