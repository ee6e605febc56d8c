"""The list: every check in the order in which a person would go through them."""

from dataclasses import dataclass
from datetime import datetime

import structlog

from speedtrade.doctor import configuration, house, servers
from speedtrade.doctor.verdicts import Check, Verdict, bad

logger = structlog.get_logger(__name__)

CHECKS: tuple[Check, ...] = (
    Check("environment", "Environment", configuration.environment),
    Check("secrets", "Secrets", configuration.secrets_set),
    Check("debug", "Debugging", configuration.debug_off),
    Check("hosts", "Host names", configuration.hosts_named),
    Check("origins", "Other origins", configuration.origins_named),
    Check("https", "HTTPS", configuration.https_forced),
    Check("cookies", "Cookies", configuration.cookies_secure),
    Check("proxies", "Trusted proxies", configuration.proxies_counted),
    Check("files", "Files", configuration.files_private),
    Check("email", "E-mail", configuration.email_set),
    Check("letters", "Letters", configuration.letters_sent),
    Check("sentry", "Error reports", configuration.sentry_set),
    Check("database", "Database", servers.database_answers),
    Check("database-line", "Line to the database", servers.database_line),
    Check("database-role", "Role in the database", servers.database_role),
    Check("database-zone", "Time zone of the database", servers.database_zone),
    Check("database-room", "Connections", servers.database_room),
    Check("migrations", "Migrations", servers.migrations_applied),
    Check("redis", "Redis", servers.redis_version),
    Check("redis-line", "Line to Redis", servers.redis_line),
    Check("redis-password", "Password of Redis", servers.redis_password),
    Check("redis-keeps", "Redis forgets nothing", servers.redis_keeps),
    Check("clocks", "Clocks", servers.clocks_agree),
    Check("disk", "Disk", servers.disk_free),
    Check("worker", "Worker and beat", house.worker_alive),
    Check("feed", "Feed", house.feed_alive),
    Check("venue", "Venue", house.venue_alive),
    Check("backup", "Last backup", house.backup_recent),
    Check("ledger", "Ledger check", house.ledger_clean),
    Check("history", "Append-only tables", house.history_guarded),
    Check("audit", "Audit", house.audit_whole),
    Check("differences", "Books and brokers", house.brokers_agree),
    Check("broker-clocks", "Clocks of brokers", house.broker_clocks),
    Check("orders", "Orders", house.orders_told),
    Check("parked", "Parked work", house.work_parked),
    Check("credentials", "Broker keys", house.credentials_open),
    Check("second-factor", "Second factors", house.second_factor),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A check and what it said."""

    check: Check
    verdict: Verdict


def examine(now: datetime) -> list[Finding]:
    """Go through the whole list. Never raises: what cannot be looked at has failed."""
    return [Finding(check, look_at(check, now)) for check in CHECKS]


def failed(findings: list[Finding]) -> bool:
    return any(finding.verdict.level == "fail" for finding in findings)


def look_at(check: Check, now: datetime) -> Verdict:
    """What one check says. Never raises."""
    try:
        return check.look(now)
    except Exception as error:
        # Only its kind is shown: the words of an error may hold an address with a password.
        logger.warning("doctor_check_failed", check=check.name, error=type(error).__name__)
        words = f"It could not be looked at ({type(error).__name__})."
        return bad(words, "Mend what it asks: the database, Redis, or their addresses.")
