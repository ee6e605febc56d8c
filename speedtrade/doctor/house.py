"""Checks of the house itself: who lives, the books, backups, and what needs a person."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from accounts.models import AccountStatus, BrokerageAccount, Mode, User
from accounts.second_factor import protected_ids
from accounts.services.audit_chain import audit_unsealed_since, audit_verify
from accounts.services.credentials import credentials_unreadable
from portfolio.models import LedgerCheck
from speedtrade.admin_index import age_words
from speedtrade.backups.making import last_backup
from speedtrade.doctor.verdicts import Verdict, bad, doubtful, good
from speedtrade.lib.heartbeat import heartbeat_ages
from speedtrade.lib.lease import leases_held
from speedtrade.lib.triggers import append_only_unguarded
from trading.selectors.watch import (
    clocks_off,
    differences_open,
    lost_orders,
    stuck_orders,
    tasks_parked,
)

NAMED_MOST = 5  # of those that a verdict names


def worker_alive(now: datetime) -> Verdict:
    """Its sign of life is work that beat hands out, so it speaks for both."""
    limit = settings.HEALTH_WORKER_AGE
    return _alive("worker", limit, now, "Start `worker` and `beat`, and read their logs.")


def feed_alive(now: datetime) -> Verdict:
    return _alive("feed", settings.HEALTH_FEED_AGE, now, "Start `feed`, and read its log.")


def _alive(part: str, limit: timedelta, now: datetime, remedy: str) -> Verdict:
    age = heartbeat_ages([part], now)[part]
    if age is None:
        return bad("No sign of life.", remedy)
    words = f"Last sign of life {age_words(age)} ago."
    return good(words) if age <= limit else bad(words, remedy)


def venue_alive(now: datetime) -> Verdict:
    with connection.cursor() as cursor:
        held = leases_held(["venue"], cursor)
    if not held:
        return bad("Nobody holds its lease.", "Start `venue`, and read its log.")
    return good("It holds its lease.")


def backup_recent(now: datetime) -> Verdict:
    last = last_backup(now)
    remedy = "manage.py backup, and a timer that runs it each night."
    if last is None:
        return bad(f"None in {age_words(settings.BACKUP_LOOK_BACK)}.", remedy)
    words = f"The last one is {age_words(now - last)} old."
    return bad(words, remedy) if now - last > settings.BACKUP_AGE else good(words)


def ledger_clean(now: datetime) -> Verdict:
    check = LedgerCheck.objects.order_by("-ran_at", "-id").first()
    if check is None:
        return bad("It has never run.", "manage.py check_ledger, and see that beat runs.")
    age = now - check.ran_at
    words = f"{check.differences} differences {age_words(age)} ago."
    if check.differences:
        return bad(words, "Halt trading; manage.py check_ledger names them.")
    if age > 2 * settings.LEDGER_CHECK_PERIOD:
        return bad(words, "See that beat and worker run.")
    return good(words)


def history_guarded(now: datetime) -> Verdict:
    """Ledger, fills and audit can be added to and not changed: their triggers are there and on."""
    with connection.cursor() as cursor:
        unguarded = append_only_unguarded(cursor)
    if unguarded:
        return bad(
            f"Rows can be changed in {', '.join(unguarded)}.",
            "Find out who switched its trigger off; ALTER TABLE … ENABLE TRIGGER, then "
            "manage.py check_ledger.",
        )
    return good("Ledger, fills and audit are append-only.")


def audit_whole(now: datetime) -> Verdict:
    """The newest part of the chain of hashes; `verify_audit` walks along all of it."""
    chain = audit_verify(last=settings.AUDIT_LOOK)
    if chain.breaks:
        return bad(" ".join(chain.breaks), "manage.py verify_audit, then compare with a backup.")
    since = audit_unsealed_since()
    if since is not None and now - since > settings.AUDIT_SEAL_LATE:
        return bad(
            f"Nothing is sealed: a row waits since {age_words(now - since)}.",
            "See that beat and worker run, and read the worker's log.",
        )
    return good(f"The newest {chain.links} rows are as they were written.")


def brokers_agree(now: datetime) -> Verdict:
    count = differences_open().count()
    if count:
        return bad(f"{count} differences between books and brokers.", "Differences at the desk.")
    return good("None.")


def broker_clocks(now: datetime) -> Verdict:
    off = clocks_off().select_related("brokerage_account").order_by("id")
    named = ", ".join(f"account {row.brokerage_account_id}" for row in off[:NAMED_MOST])
    if named:
        return bad(
            f"The broker's clock is too far off ours: {off.count()} lines, {named}.",
            "Run chrony or systemd-timesyncd; where our clock is right, ask the broker.",
        )
    return good("None is too far off.")


def orders_told(now: datetime) -> Verdict:
    lost = lost_orders().count()
    stuck = stuck_orders(now=now, older_than=settings.STUCK_AFTER).count() - lost
    if lost or stuck > 0:
        return bad(f"{max(stuck, 0)} stuck, {lost} lost.", "Look at each at the desk.")
    return good("None stuck, none lost.")


def work_parked(now: datetime) -> Verdict:
    count = tasks_parked().count()
    if count:
        return bad(f"{count} put aside.", "Parked work at the desk; the worker's log says why.")
    return good("None put aside.")


def credentials_open(now: datetime) -> Verdict:
    total, unreadable = credentials_unreadable()
    if unreadable:
        return bad(
            f"{len(unreadable)} of {total} broker keys cannot be read.",
            "Put the former key back into FIELD_KEYS, behind the first.",
        )
    return good(f"All {total} broker keys can be read.")


def second_factor(now: datetime) -> Verdict:
    protected = protected_ids()
    staff = set(User.objects.filter(is_staff=True, is_active=True).values_list("pk", flat=True))
    live = BrokerageAccount.objects.filter(mode=Mode.LIVE).exclude(
        status=AccountStatus.DISCONNECTED
    )
    owners = set(live.values_list("user_id", flat=True))
    for who, words in ((staff, "of the staff"), (owners, "who trade real money")):
        if without := len(who - protected):
            return bad(f"{without} of {len(who)} {words} have none.", "Have them set one up.")
    if not settings.LIVE_SECOND_FACTOR:
        return doubtful("Real money moves by a password alone.", "Set LIVE_SECOND_FACTOR=true.")
    return good(f"All {len(staff)} of the staff, and all {len(owners)} who trade real money.")
