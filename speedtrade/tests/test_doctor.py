"""The production checklist: green in a house that is well, red at each fault that is planted."""

import contextlib
import json
import stat
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import override_settings
from django.utils import timezone
from redis.exceptions import ResponseError

from accounts.keys import BrokerKey
from accounts.models import AuditEvent, BrokerageAccount, BrokerCredential, Letter, User
from accounts.services.audit import audit_record
from accounts.services.audit_chain import Chain, audit_seal
from accounts.services.credentials import credential_put
from accounts.services.staff import support_grant
from portfolio.models import LedgerCheck
from speedtrade import urls
from speedtrade.backups.making import MADE
from speedtrade.doctor import configuration, house, servers
from speedtrade.doctor.lines import line_judge
from speedtrade.doctor.table import CHECKS, examine, failed, look_at
from speedtrade.lib.heartbeat import heartbeat
from speedtrade.lib.lease import Lease
from speedtrade.lib.redis import redis_client
from speedtrade.lib.triggers import APPEND_ONLY
from speedtrade.testing import states
from speedtrade.testing.cast import page_client
from trading.models import BrokerLink, Difference, Order, ParkedTask

assert urls.urlpatterns
pytestmark = pytest.mark.django_db
SOUND = {
    "PRODUCTION": True,
    "ENVIRONMENT": "production",
    "SECRET_KEY": "p3Zq-8sLxV0nJt5rWmB7cYd2fKgH1aUeQo9iXzTb",
    "JWT_SIGNING_KEY": "Lk4wR7vN-2mPzXc9bTqS5jYhG8fDaEuV1iO0eKrM",
    "FIELD_KEYS": settings.FIELD_KEYS,
    "ALLOWED_HOSTS": ["trade.example.com"],
    "SECURE_SSL_REDIRECT": True,
    "SECURE_HSTS_SECONDS": 365 * 24 * 3600,
    "SESSION_COOKIE_SECURE": True,
    "CSRF_COOKIE_SECURE": True,
    "TRUSTED_PROXIES": 1,
    "EMAIL_HOST": "mail.example.com",
    "EMAIL_USE_TLS": True,
    "SENTRY_DSN": "https://key@sentry.example.com/1",
}


def level(name: str) -> str:
    return look_at(next(one for one in CHECKS if one.name == name), timezone.now()).level


@pytest.fixture
def sound(tmp_path: Path) -> Iterator[None]:
    """A house in which all is well, as far as this machine can be one."""
    now = timezone.now()
    states.books_make(now)
    account = BrokerageAccount.objects.exclude(broker="paper").first()
    assert account
    credential_put(account=account, key=BrokerKey("PKA", "secret"), now=now)
    Order.objects.filter(state__in=["lost", "submitting", "pending"]).update(state="rejected")
    for part in ("worker", "feed"):
        heartbeat(part, now)
    audit_record(actor=None, action=MADE, target="a", now=now)
    audit_seal()
    LedgerCheck.objects.create(ran_at=now, differences=0)
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    folders = {"DATA_DIR": folder, "BACKUP_DIR": folder / "backups"}
    with override_settings(**folders, **SOUND), Lease("venue") as lease:
        assert lease.take()
        yield


# ── plants: each makes one check say what is named beside it ─────────────────
Plant = Callable[[Path], contextlib.AbstractContextManager[Any]]


def setting(**values: Any) -> Plant:
    return lambda folder: override_settings(**values)


def patch(target: Any, name: str, value: Any) -> Plant:
    return lambda folder: mock.patch.object(target, name, value)


def doing(act: Callable[[], Any], undo: Callable[[], Any] = lambda: None) -> Plant:
    @contextlib.contextmanager
    def planted(folder: Path) -> Iterator[None]:
        act()
        yield
        undo()

    return planted


def readable(name: str, mode: int) -> Plant:
    @contextlib.contextmanager
    def planted(folder: Path) -> Iterator[None]:
        path = folder / name if name else folder
        before = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
        if not path.exists():
            path.touch()
        path.chmod(mode)
        yield
        path.chmod(before if before is not None else 0o600)

    return planted


def asked(answers: dict[str, tuple[Any, ...]]) -> Plant:
    """The database answers so to a question with these words."""
    real = servers.ask

    def ask(query: str) -> tuple[Any, ...]:
        return next((row for words, row in answers.items() if words in query), None) or real(query)

    return patch(servers, "ask", ask)


def policy(name: str) -> Callable[[], Any]:
    return lambda: redis_client().config_set("maxmemory-policy", name)


def sql(text: str) -> Callable[[], Any]:
    def run() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(text)

    return run


def rows(model: Any, **values: Any) -> Callable[[], Any]:
    """Change all rows of a model."""
    return lambda: model.objects.update(**values)


def check_made(differences: int, ago: timedelta) -> Callable[[], Any]:
    def make() -> None:
        LedgerCheck.objects.all().delete()
        LedgerCheck.objects.create(ran_at=timezone.now() - ago, differences=differences)

    return make


def sealed_by_others() -> Plant:
    return setting(FIELD_KEYS=["another-key-Zq8sLxV0nJt5rWmB7cYd2fKgH1aUeQo9iX"])


def aged(part: str, seconds: int) -> Plant:
    return doing(
        lambda: heartbeat(part, timezone.now() - timedelta(seconds=seconds)),
        lambda: heartbeat(part, timezone.now()),
    )


def stuck() -> None:
    order = Order.objects.filter(state="filled").latest("id")
    before = timezone.now() - timedelta(hours=1)
    Order.objects.filter(pk=order.pk).update(state="submitting", updated_at=before)


def unstuck() -> None:
    Order.objects.filter(state="submitting").update(state="filled")


def disagree() -> None:
    Difference.objects.create(
        brokerage_account=BrokerageAccount.objects.latest("id"),
        kind="cash",
        asset="USD",
        ours=1,
        theirs=2,
        first_seen_at=timezone.now(),
        last_seen_at=timezone.now(),
        sightings=2,
    )


def clock_off() -> None:
    BrokerLink.objects.update_or_create(
        brokerage_account=BrokerageAccount.objects.latest("id"),
        defaults={"created_at": timezone.now(), "clock_offset": -timedelta(hours=3)},
    )


def unsealed(age: timedelta) -> Plant:
    """A row that was written so long ago and has no seal; after the remedy it has one."""

    def write() -> None:
        audit_seal()
        audit_record(actor=None, action=MADE, target="a", now=timezone.now() - age)

    return doing(write, lambda: bool(audit_seal()))


def park() -> None:
    ParkedTask.objects.create(task="x", arguments="[]", queue="celery", parked_at=timezone.now())


def letter_waits(**fields: Any) -> None:
    now = timezone.now()
    before = now - settings.LETTERS_LATE - timedelta(seconds=1)
    values = {"kind": "key.create", "to": "a@example.com", "tries": 1, "due_at": now, **fields}
    Letter.objects.create(user=User.objects.latest("pk"), created_at=before, **values)


def letter_over() -> None:
    letter_waits(tries=settings.LETTER_TRIES, due_at=None)


def letters_gone() -> None:
    Letter.objects.all().delete()


SMTP = "django.core.mail.backends.smtp.EmailBackend"
LAST = max(name for app, name in MigrationLoader(None).disk_migrations if app == "trading")
GOOD_KEY = SOUND["SECRET_KEY"]
PUBLIC, PRIVATE = "93.184.216.34", "10.0.0.5"
LATE = timedelta(minutes=31)
KEEPS = {"maxmemory-policy": "noeviction", "appendonly": "yes"}
PLANTS: list[tuple[str, str, Plant]] = [
    ("environment", "fail", setting(PRODUCTION=False)),
    ("secrets", "fail", setting(SECRET_KEY="short")),
    ("secrets", "fail", setting(SECRET_KEY="change-me-" * 6)),
    ("secrets", "fail", setting(JWT_SIGNING_KEY="a" * 64)),
    ("secrets", "fail", setting(JWT_SIGNING_KEY=GOOD_KEY)),
    ("secrets", "fail", setting(FIELD_KEYS=[])),
    ("debug", "fail", setting(DEBUG=True)),
    ("hosts", "fail", setting(ALLOWED_HOSTS=["*"])),
    ("hosts", "fail", setting(ALLOWED_HOSTS=[])),
    ("origins", "fail", setting(CORS_ALLOWED_ORIGINS=["*"])),
    ("origins", "fail", setting(CORS_ALLOW_ALL_ORIGINS=True)),
    ("origins", "warn", setting(CORS_ALLOWED_ORIGINS=["http://app.example.com"])),
    ("https", "warn", setting(SECURE_SSL_REDIRECT=False)),
    ("https", "fail", setting(SECURE_HSTS_SECONDS=0)),
    ("cookies", "fail", setting(SESSION_COOKIE_SECURE=False)),
    ("cookies", "fail", setting(CSRF_COOKIE_SECURE=False)),
    ("proxies", "warn", setting(TRUSTED_PROXIES=0)),
    ("files", "fail", readable("", 0o755)),
    ("files", "fail", readable("secrets.json", 0o640)),
    ("email", "warn", setting(EMAIL_HOST="")),
    ("email", "fail", setting(EMAIL_USE_TLS=False, EMAIL_HOST=PUBLIC)),
    ("email", "warn", setting(EMAIL_USE_TLS=False, EMAIL_HOST=PRIVATE)),
    ("email", "fail", setting(EMAIL_USE_TLS=False, EMAIL_HOST="mail.invalid")),
    ("email", "fail", setting(EMAIL_BACKEND=SMTP, EMAIL_HOST="127.0.0.1", EMAIL_PORT=1)),
    ("letters", "skip", setting(EMAIL_HOST="")),
    ("letters", "warn", doing(letter_waits, letters_gone)),
    ("letters", "warn", doing(letter_over, letters_gone)),
    ("sentry", "skip", setting(SENTRY_DSN="")),
    ("database", "fail", asked({"server_version_num": ("140001",)})),
    ("database", "warn", asked({"server_version_num": ("170001",)})),
    ("database-line", "fail", asked({"pg_stat_ssl": (False, PUBLIC)})),
    ("database-line", "warn", asked({"pg_stat_ssl": (False, PRIVATE)})),
    ("database-role", "fail", asked({"rolsuper": (True, False, False)})),
    ("database-role", "fail", asked({"rolsuper": (False, True, False)})),
    ("database-zone", "fail", doing(sql("SET TIME ZONE 'EST'"), sql("SET TIME ZONE 'UTC'"))),
    ("database-room", "warn", asked({"max_connections": (85, 100)})),
    ("database-room", "fail", asked({"max_connections": (99, 100)})),
    (
        "migrations",
        "fail",
        doing(
            lambda: MigrationRecorder(connection).record_unapplied("trading", LAST),
            lambda: MigrationRecorder(connection).record_applied("trading", LAST),
        ),
    ),
    ("redis-line", "fail", patch(servers, "urlsplit", lambda url: 1 / 0)),
    ("redis-password", "fail", setting(REDIS_URL="redis://queue.example.com/0")),
    ("redis-password", "warn", setting(REDIS_URL="redis://127.0.0.1/0")),
    ("redis-keeps", "fail", doing(policy("allkeys-lru"), policy("noeviction"))),
    ("redis-keeps", "fail", patch(servers, "redis_settings", lambda: KEEPS | {"appendonly": "no"})),
    ("redis-keeps", "warn", patch(servers, "redis_settings", dict)),
    ("clocks", "fail", patch(servers, "_redis_clock", lambda: 0.0)),
    ("clocks", "fail", patch(servers, "_database_clock", lambda: 4e9)),
    ("disk", "warn", patch(servers, "disk_usage", lambda path: mock.Mock(free=10, total=100))),
    ("disk", "fail", patch(servers, "disk_usage", lambda path: mock.Mock(free=1, total=100))),
    ("worker", "fail", aged("worker", 31)),
    ("feed", "fail", aged("feed", 16)),
    ("venue", "fail", patch(house, "leases_held", lambda names, cursor: [])),
    ("backup", "fail", setting(BACKUP_AGE=timedelta(0))),
    ("ledger", "fail", doing(check_made(1, timedelta(0)), check_made(0, timedelta(0)))),
    ("ledger", "fail", doing(check_made(0, LATE), check_made(0, timedelta(0)))),
    (
        "history",
        "fail",
        doing(
            sql("ALTER TABLE accounts_auditevent DISABLE TRIGGER accounts_auditevent_append_only"),
            sql("ALTER TABLE accounts_auditevent ENABLE TRIGGER accounts_auditevent_append_only"),
        ),
    ),
    (
        "audit",
        "fail",
        patch(house, "audit_verify", lambda last: Chain(1, "", ("Event 1 was changed.",))),
    ),
    ("audit", "fail", unsealed(settings.AUDIT_SEAL_LATE + timedelta(seconds=1))),
    ("audit", "pass", unsealed(settings.AUDIT_SEAL_LATE - timedelta(minutes=1))),
    (
        "differences",
        "fail",
        doing(disagree, rows(Difference, ended_at="2100-01-01T00:00Z")),
    ),
    ("broker-clocks", "fail", doing(clock_off, rows(BrokerLink, clock_offset=timedelta(0)))),
    ("orders", "fail", doing(stuck, unstuck)),
    ("parked", "fail", doing(park, rows(ParkedTask, released_at="2100-01-01T00:00Z"))),
    ("credentials", "fail", sealed_by_others()),
    ("second-factor", "fail", patch(house, "protected_ids", set)),
]


def everybody() -> set[int]:
    return set(User.objects.values_list("pk", flat=True))


def test_the_plants_meet_every_check() -> None:
    """`redis` has a test of its own below, as its version is the server's."""
    assert {check.name for check in CHECKS} - {name for name, *_ in PLANTS} == {"redis"}


def test_each_check_is_green_then_red_at_its_plant_and_green_after_the_remedy(
    sound: None, bob: User
) -> None:
    patched = mock.patch.object(house, "protected_ids", everybody)
    with patched:
        well = {"pass"}
        for name, expected, plant in PLANTS:
            before = level(name)
            with plant(Path(settings.DATA_DIR)):
                assert level(name) == expected, name
            assert level(name) == before, name
            assert before in well or name in {"database-role"}, (name, before)
        assert not failed(examine(timezone.now()))


@pytest.mark.parametrize(
    ("encrypted", "addresses", "expected"),
    [
        (True, [PUBLIC], "pass"),
        (False, [], "pass"),
        (False, ["127.0.0.1", "::1"], "pass"),
        (False, ["127.0.0.1", PRIVATE], "warn"),
        (False, [PRIVATE], "warn"),
        (False, [PUBLIC], "fail"),
        (False, [PRIVATE, PUBLIC], "fail"),
    ],
)
def test_a_line_is_encrypted_or_does_not_leave_the_machine(
    encrypted: bool, addresses: list[str], expected: str
) -> None:
    assert line_judge(encrypted, addresses, "TLS").level == expected


@pytest.mark.parametrize(
    ("host", "address", "expected"),
    [
        ("localhost", "127.0.0.1", "pass"),
        ("mail", "172.18.0.5", "warn"),  # a container beside ours
        ("mail", PUBLIC, "fail"),  # the same name, by a search domain
        ("mail.example.com", PRIVATE, "warn"),
        ("mail.example.com", PUBLIC, "fail"),
    ],
)
@pytest.mark.parametrize("secured", ["", "EMAIL_USE_TLS", "EMAIL_USE_SSL"])
def test_letters_go_out_encrypted_or_stay_within_the_machine(
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    address: str,
    expected: str,
    secured: str,
) -> None:
    settings.EMAIL_HOST, settings.EMAIL_USE_TLS, settings.EMAIL_USE_SSL = host, False, False
    if secured:
        setattr(settings, secured, True)
    monkeypatch.setattr(configuration, "host_addresses", {host: [address]}.__getitem__)
    verdict = configuration.email_set(timezone.now())
    assert verdict.level == ("pass" if secured else expected)
    if not secured and expected != "pass":
        assert "links that set a new password" in verdict.words
        assert "EMAIL_USE_TLS=true" in verdict.remedy


def test_a_server_that_would_read_our_password_in_the_clear_is_not_even_called(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EMAIL_HOST, settings.EMAIL_USE_TLS = PUBLIC, False
    monkeypatch.setattr(configuration, "get_connection", lambda **_: pytest.fail("It was called."))
    assert configuration.email_set(timezone.now()).level == "fail"


def test_an_old_redis_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert level("redis") == "pass"
    fake = mock.Mock(info=lambda part: {"redis_version": "6.2.1"})
    monkeypatch.setattr(servers, "redis_client", lambda: fake)
    assert servers.redis_version(timezone.now()).level == "fail"


def test_a_redis_that_does_not_tell_its_settings_is_warned_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert servers.redis_settings() == KEEPS
    refuses = mock.Mock()
    refuses.config_get.side_effect = ResponseError("unknown command 'CONFIG'")
    monkeypatch.setattr(servers, "redis_client", lambda: refuses)
    assert servers.redis_keeps(timezone.now()).level == "warn"


def test_an_audit_that_nobody_ever_sealed_is_no_whole_one() -> None:
    """Fails where the walk along no links at all finds no break."""
    written = timezone.now()
    audit_record(actor=None, action=MADE, target="a", now=written)
    assert house.audit_whole(written).level == "pass"
    later = written + settings.AUDIT_SEAL_LATE + timedelta(seconds=1)
    assert house.audit_whole(later).level == "fail"
    assert audit_seal() == 1
    assert house.audit_whole(later).level == "pass"


def test_nobody_ever_backed_up_checked_or_lived(db: None) -> None:
    now = timezone.now()
    for look in (house.backup_recent, house.ledger_clean, house.worker_alive, house.feed_alive):
        assert look(now).level == "fail", look


def test_real_money_behind_a_password_alone_is_told(sound: None, bob: User, settings: Any) -> None:
    look = lambda: house.second_factor(timezone.now()).level  # noqa: E731 - asked three times
    with mock.patch.object(house, "protected_ids", everybody):
        assert look() == "pass"
        settings.LIVE_SECOND_FACTOR = False
        assert look() == "warn"
    known = everybody()
    with mock.patch.object(house, "protected_ids", lambda: known):
        owner = User.objects.create_user("owner", "owner@example.com", "a-long-enough-one-9")
        BrokerageAccount.objects.create(
            user=owner, broker="alpaca", mode="live", currency="USD", created_at=timezone.now()
        )
        assert look() == "fail"


def test_without_mail_it_says_how_a_forgotten_password_is_helped(settings: Any) -> None:
    settings.EMAIL_HOST = ""
    assert "manage.py password_link" in configuration.email_set(timezone.now()).remedy


def test_every_table_that_a_migration_made_append_only_is_looked_at() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT event_object_table FROM information_schema.triggers"
            " WHERE trigger_name LIKE '%_append_only'"
        )
        assert {table for (table,) in cursor.fetchall()} == set(APPEND_ONLY)


def test_a_check_that_cannot_look_says_so_and_tells_no_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(query: str) -> Any:
        raise psycopg.OperationalError("postgresql://me:hunter2@db/x is away")

    monkeypatch.setattr(servers, "ask", broken)
    verdict = next(f.verdict for f in examine(timezone.now()) if f.check.name == "database")
    assert verdict.level == "fail" and "hunter2" not in verdict.words + verdict.remedy


def test_the_command_says_it_in_words_and_in_json_and_fails_where_something_does(
    sound: None, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("doctor")
    said = capsys.readouterr().out
    assert "pass  Debugging: DEBUG is off." in said
    with override_settings(DEBUG=True), pytest.raises(SystemExit) as ended:
        call_command("doctor", "--json")
    told = json.loads(capsys.readouterr().out)
    assert ended.value.code == 1 and told["ok"] is False
    assert [row["name"] for row in told["checks"]] == [check.name for check in CHECKS]
    for secret in (SOUND["SECRET_KEY"], *settings.FIELD_KEYS, settings.REDIS_URL):
        assert str(secret) not in said + json.dumps(told)


def test_the_desk_shows_the_list_to_who_may_see_it_and_writes_down_each_look(bob: User) -> None:
    assert page_client(bob).get("/admin/doctor/").status_code == 403
    assert not AuditEvent.objects.filter(target="doctor:*").exists()
    support_grant(user=bob, actor=None, reason="He answers the phone.", now=timezone.now())
    client = page_client(User.objects.get(pk=bob.pk))
    answer = client.get("/admin/doctor/")
    assert answer.status_code == 200
    for check in CHECKS:
        assert check.title in answer.content.decode()
    assert AuditEvent.objects.get(target="doctor:*").actor == bob
    assert b"/admin/doctor/" in client.get("/admin/").content
    assert client.post("/admin/doctor/").status_code == 405


def test_a_key_that_none_of_ours_opens_is_counted_and_not_shown(sound: None) -> None:
    assert BrokerCredential.objects.update(ciphertext="canary") == 1
    verdict = house.credentials_open(timezone.now())
    assert verdict.level == "fail" and "canary" not in verdict.words
