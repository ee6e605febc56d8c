"""The index page of the support desk: counters of what needs a person, each with a link.

A card is shown to whoever may see its rows. The whole page is about a dozen queries.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.conf import settings
from django.urls import reverse
from django.utils.http import urlencode
from redis.exceptions import RedisError

from accounts.models import AccountStatus, AuditEvent, BrokerageAccount, User
from marketdata.models import Instrument
from portfolio.models import LedgerCheck
from speedtrade.lib.heartbeat import heartbeat_ages
from trading.selectors.facts import halt_open
from trading.selectors.watch import (
    differences_open,
    lines_down,
    lost_orders,
    orders_rejected_on,
    stuck_orders,
    stuck_submissions,
    tasks_parked,
)

Tone = Literal["ok", "warn", "bad"]
LATEST_ACTS = 10
LEDGER_CHECK_LATE = 2  # periods without a check before its card warns
NOT_ACTS = ("admin.view", "user.login", "user.register")


@dataclass(frozen=True, slots=True)
class Card:
    """A counter: its words, where it leads, how bad it is, and what can be done at once."""

    title: str
    value: str
    words: str
    url: str
    tone: Tone
    act_label: str = ""
    act_url: str = ""


def cards_for(user: User, now: datetime) -> list[Card]:
    """The cards of the page that this person may see, in the order of urgency."""
    makers: list[tuple[str, Callable[[User, datetime], list[Card]]]] = [
        ("trading.view_tradinghalt", _kill_switch),
        ("trading.view_order", _orders),
        ("trading.view_submission", _outbox),
        ("trading.view_parkedtask", _parked),
        ("trading.view_difference", _differences),
        ("trading.view_brokerlink", _lines),
        ("portfolio.view_ledgercheck", _ledger),
        ("trading.view_order", _heartbeats),
        ("marketdata.view_instrument", _halted_symbols),
        ("accounts.view_brokerageaccount", _frozen_accounts),
    ]
    return [card for right, make in makers if user.has_perm(right) for card in make(user, now)]


def latest_acts(user: User) -> list[AuditEvent]:
    """What people did last, looking and logging in left out; [] for who may not see the audit."""
    if not user.has_perm("accounts.view_auditevent"):
        return []
    acts = AuditEvent.objects.exclude(action__in=NOT_ACTS).select_related("actor")
    return list(acts.order_by("-at", "-id")[:LATEST_ACTS])


def _kill_switch(user: User, now: datetime) -> list[Card]:
    halt = halt_open()
    url = _list("trading_tradinghalt")
    if halt is None:
        label, act = "Halt all trading", "trading_tradinghalt_halt"
        label, act_url = _act(user, "trading.add_tradinghalt", label, act)
        return [Card("Kill switch", "Off", "Orders are taken.", url, "ok", label, act_url)]
    label, act = "Resume all trading", "trading_tradinghalt_resume"
    label, act_url = _act(user, "trading.change_tradinghalt", label, act)
    words = f"For {age_words(now - halt.set_at)}: {halt.reason}"
    return [Card("Kill switch", "Trading is halted", words, url, "bad", label, act_url)]


def _orders(user: User, now: datetime) -> list[Card]:
    seconds = int(settings.STUCK_AFTER.total_seconds())
    stuck = stuck_orders(now=now, older_than=settings.STUCK_AFTER).count()
    lost, rejected = lost_orders().count(), orders_rejected_on(now=now).count()
    return [
        _count("Stuck orders", stuck, f"No answer for {seconds} s.", "stuck", "bad"),
        _count("Lost orders", lost, "Sent, unknown to the broker.", "lost", "bad"),
        _count("Rejected today", rejected, "By a broker.", "rejected", "warn"),
    ]


def _outbox(user: User, now: datetime) -> list[Card]:
    waiting = stuck_submissions(now=now, older_than=settings.STUCK_AFTER).count()
    url = _list("trading_submission", attention="stuck")
    tone: Tone = "bad" if waiting else "ok"
    return [Card("Outbox", str(waiting), "Not told, or not answered.", url, tone)]


def _parked(user: User, now: datetime) -> list[Card]:
    count = tasks_parked().count()
    url = _list("trading_parkedtask", released_at__isempty=1)
    tone: Tone = "bad" if count else "ok"
    return [Card("Parked work", str(count), "It ended its worker each time.", url, tone)]


def _differences(user: User, now: datetime) -> list[Card]:
    count = differences_open().count()
    url = _list("trading_difference", ended_at__isempty=1)
    words = "Our books and a broker's disagree." if count else "Brokers say what we say."
    return [Card("Differences", str(count), words, url, "bad" if count else "ok")]


def _lines(user: User, now: datetime) -> list[Card]:
    """Nothing where no account is at a broker."""
    down, lines = lines_down(now=now)
    if not lines:
        return []
    words = f"Of {lines} to brokers; no word for {age_words(settings.BLIND_AFTER)} or longer."
    url = _list("trading_brokerlink")
    return [Card("Lines down", str(down), words, url, "bad" if down else "ok")]


def _ledger(user: User, now: datetime) -> list[Card]:
    label, act_url = _act(
        user, "portfolio.add_ledgercheck", "Run it now", "portfolio_ledgercheck_run"
    )
    check = LedgerCheck.objects.order_by("-ran_at", "-id").first()
    url = _list("portfolio_ledgercheck")
    if check is None:
        words = "It has never run."
        return [Card("Ledger check", "None", words, url, "warn", label, act_url)]
    age = now - check.ran_at
    late = age > settings.LEDGER_CHECK_PERIOD * LEDGER_CHECK_LATE
    tone: Tone = "bad" if check.differences else "warn" if late else "ok"
    value = f"{check.differences} differences" if check.differences else "Clean"
    page = reverse("admin:portfolio_ledgercheck_change", args=[check.pk])
    words = f"{age_words(age)} ago."
    return [Card("Ledger check", value, words, page, tone, label, act_url)]


def _heartbeats(user: User, now: datetime) -> list[Card]:
    limits = {"feed": settings.HEALTH_FEED_AGE, "worker": settings.HEALTH_WORKER_AGE}
    url = reverse("health")
    try:
        ages = heartbeat_ages(limits, now)
    except RedisError:
        return [Card("Feed and worker", "Unknown", "Redis is away.", url, "bad")]
    return [_heartbeat(part, ages[part], limit, url) for part, limit in limits.items()]


def _heartbeat(part: str, age: timedelta | None, limit: timedelta, url: str) -> Card:
    title = part.title()
    if age is None:
        return Card(title, "No sign of life", "It never said anything.", url, "bad")
    words = f"Last sign of life {age_words(age)} ago."
    return (
        Card(title, "Late", words, url, "bad")
        if age > limit
        else Card(title, "Alive", words, url, "ok")
    )


def _halted_symbols(user: User, now: datetime) -> list[Card]:
    symbols = list(
        Instrument.objects.filter(halted_at__isnull=False)
        .order_by("symbol")
        .values_list("symbol", flat=True)
    )
    words = ", ".join(symbols[:5]) + (" …" if len(symbols) > 5 else "") if symbols else "None."
    url = _list("marketdata_instrument", halted_at__isempty=0)
    return [Card("Halted symbols", str(len(symbols)), words, url, "warn" if symbols else "ok")]


def _frozen_accounts(user: User, now: datetime) -> list[Card]:
    frozen = BrokerageAccount.objects.filter(status=AccountStatus.FROZEN).count()
    url = _list("accounts_brokerageaccount", status__exact=AccountStatus.FROZEN.value)
    tone: Tone = "warn" if frozen else "ok"
    return [Card("Frozen accounts", str(frozen), "Cannot place orders.", url, tone)]


def _count(title: str, number: int, words: str, attention: str, tone: Tone) -> Card:
    url = _list("trading_order", attention=attention)
    return Card(title, str(number), words, url, tone if number else "ok")


def _act(user: User, right: str, label: str, page: str) -> tuple[str, str]:
    """(label, address) of an act, or nothing for who may not."""
    return (label, reverse(f"admin:{page}")) if user.has_perm(right) else ("", "")


def _list(page: str, **query: str | int) -> str:
    url = reverse(f"admin:{page}_changelist")
    return f"{url}?{urlencode(query)}" if query else url


def age_words(age: timedelta) -> str:
    """'4 s', '12 min', '3 h', '2 days': how long, in one unit."""
    seconds = max(int(age.total_seconds()), 0)
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
