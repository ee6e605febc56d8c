"""Checks of what was set: secrets, hosts, HTTPS, and who may read the files."""

import socket
import stat
from collections import Counter
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import get_connection

from accounts.models import Letter
from speedtrade.doctor.lines import line_judge
from speedtrade.doctor.verdicts import Verdict, absent, bad, doubtful, good
from speedtrade.env import env_files

LEAST = 32  # characters of a secret
VARIETY = 10  # different characters, which a random secret of that length always has
RANDOM = "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
OTHERS = stat.S_IRWXG | stat.S_IRWXO
MAIL_REMEDY = "EMAIL_USE_TLS=true (as on port 587) or EMAIL_USE_SSL=true (as on port 465)"
HSTS_LEAST = 180 * 24 * 3600  # seconds; below a year, and above what a trial run sets


def environment(now: datetime) -> Verdict:
    if settings.PRODUCTION:
        return good("Production.")
    return bad(
        f"It runs as {settings.ENVIRONMENT}: example secrets and plain HTTP are let through.",
        "Set SPEEDTRADE_ENV=production.",
    )


def secrets_set(now: datetime) -> Verdict:
    """Each is there, long, random enough and no example, and no two are the same."""
    named = {"SECRET_KEY": settings.SECRET_KEY, "JWT_SIGNING_KEY": settings.JWT_SIGNING_KEY}
    named |= {f"FIELD_KEYS[{at}]": key for at, key in enumerate(settings.FIELD_KEYS)}
    weak = [name for name, secret in named.items() if _weak(secret)]
    if weak or not settings.FIELD_KEYS:
        words = ", ".join(weak) or "FIELD_KEYS"
        return bad(f"Missing, short or an example: {words}.", f"Set {LEAST}+ characters: {RANDOM}")
    twice = [secret for secret, times in Counter(named.values()).items() if times > 1]
    if twice:
        same = " and ".join(name for name, secret in named.items() if secret == twice[0])
        return bad(f"The same secret twice: {same}.", f"Give each one of its own: {RANDOM}")
    return good(f"{len(named)} different secrets.")


def _weak(secret: str) -> bool:
    example = any(word in secret.lower() for word in ("insecure", "change", "example", "secret-"))
    return len(secret) < LEAST or len(set(secret)) < VARIETY or example


def debug_off(now: datetime) -> Verdict:
    if settings.DEBUG:
        return bad("DEBUG is on: strangers see code and settings.", "Set DEBUG=false.")
    return good("DEBUG is off.")


def hosts_named(now: datetime) -> Verdict:
    hosts = settings.ALLOWED_HOSTS
    if not hosts or any(host.startswith(("*", ".")) for host in hosts):
        return bad("ALLOWED_HOSTS takes any name.", "Name the hosts that people type.")
    return good(", ".join(hosts))


def origins_named(now: datetime) -> Verdict:
    origins = settings.CORS_ALLOWED_ORIGINS
    if getattr(settings, "CORS_ALLOW_ALL_ORIGINS", False) or any("*" in one for one in origins):
        return bad("Every page in the world may call the API.", "Name them in ALLOWED_ORIGINS.")
    plain = [one for one in origins if not one.startswith("https://")]
    if plain:
        return doubtful(f"Over plain HTTP: {', '.join(plain)}.", "Use https:// origins.")
    return good(", ".join(origins) or "None but our own pages.")


def https_forced(now: datetime) -> Verdict:
    if not settings.SECURE_SSL_REDIRECT:
        return doubtful(
            "Plain HTTP is answered.",
            "Set SECURE_SSL_REDIRECT=true, unless the proxy does it for every path.",
        )
    if settings.SECURE_HSTS_SECONDS < HSTS_LEAST:
        return bad("Browsers are not told to stay on HTTPS.", "Run with SPEEDTRADE_ENV=production.")
    return good(f"Redirected; HSTS for {settings.SECURE_HSTS_SECONDS // 86_400} days.")


def cookies_secure(now: datetime) -> Verdict:
    names = ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SESSION_COOKIE_HTTPONLY")
    missing = [name for name in names if not getattr(settings, name)]
    if missing:
        return bad(f"Off: {', '.join(missing)}.", "Run with SPEEDTRADE_ENV=production.")
    return good("Sent over HTTPS alone, hidden from scripts.")


def proxies_counted(now: datetime) -> Verdict:
    if not settings.TRUSTED_PROXIES:
        return doubtful(
            "TRUSTED_PROXIES is 0: behind a proxy all users share one address and its limits.",
            "Set it to the number of proxies of yours that append to X-Forwarded-For.",
        )
    return good(f"{settings.TRUSTED_PROXIES} of ours.")


def files_private(now: datetime) -> Verdict:
    """The data folder may be passed through (its servers' user does), and read by nobody else."""
    wrong = []
    folder = settings.DATA_DIR
    if folder.exists() and folder.stat().st_mode & OTHERS & ~(stat.S_IXGRP | stat.S_IXOTH):
        wrong.append(f"{folder} (0700)")
    private = [folder / "secrets.json", folder / "runtime.json", *map(Path, env_files())]
    backups = [settings.BACKUP_DIR, *settings.BACKUP_DIR.glob("speedtrade-*")]
    wrong += [
        f"{path} ({'0700' if path.is_dir() else '0600'})"
        for path in (*private, *backups)
        if path.exists() and path.stat().st_mode & OTHERS
    ]
    if wrong:
        return bad(f"Others may read {', '.join(wrong[:3])}.", "chmod them to the mode named.")
    return good("Readable by their owner alone.")


def email_set(now: datetime) -> Verdict:
    """Whether users are told by mail: a server that takes our name, by a line that is encrypted."""
    if not settings.EMAIL_HOST:
        return doubtful(
            "No mail server is set: no address is verified, no user is told of a new browser, and "
            "who forgot the password asks you.",
            "Set EMAIL_HOST and EMAIL_FROM: docs/operations.md, Mail. Until then give them a link: "
            'manage.py password_link NAME "why".',
        )
    try:
        line = _mail_line()
        if line.level == "fail":
            return line  # and no word to that server: the password of ours would be the first
        server = get_connection(timeout=settings.HEALTH_TIMEOUT.total_seconds())
        server.open()
        server.close()
    except (OSError, SMTPException) as error:
        return bad(
            f"The mail server does not let us in ({type(error).__name__}).",
            "See EMAIL_HOST, EMAIL_PORT, EMAIL_HOST_USER and EMAIL_HOST_PASSWORD.",
        )
    return line if line.level == "warn" else good(f"{settings.EMAIL_HOST} lets us in.")


def _mail_line() -> Verdict:
    """Who could read letters on their way, where it is not encrypted; OSError for no such host."""
    encrypted = settings.EMAIL_USE_TLS or settings.EMAIL_USE_SSL
    addresses = [] if encrypted else host_addresses(settings.EMAIL_HOST)
    line = line_judge(encrypted, addresses, MAIL_REMEDY)
    return replace(line, words=f"{line.words} Letters hold links that set a new password.")


def host_addresses(host: str) -> list[str]:
    """All addresses of a name; raises OSError where it has none."""
    return [str(where[0]) for *_, where in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


def letters_sent(now: datetime) -> Verdict:
    """Whether what was to be told was told."""
    if not settings.EMAIL_HOST:
        return absent("No mail server is set.")
    unsent = Letter.objects.filter(sent_at=None, tries__gt=0).order_by()
    over = unsent.filter(due_at=None, tries__gte=settings.LETTER_TRIES).count()
    late = unsent.exclude(due_at=None).filter(created_at__lt=now - settings.LETTERS_LATE).count()
    if over or late:
        return doubtful(
            f"{late} letters wait, and {over} were given up within the last days.",
            "The worker's log says letter_failed, and why.",
        )
    return good("None waits.")


def sentry_set(now: datetime) -> Verdict:
    return good("Errors are reported.") if settings.SENTRY_DSN else absent("SENTRY_DSN is unset.")
