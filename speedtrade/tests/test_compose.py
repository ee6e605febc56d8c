"""docker-compose.yml, the Dockerfile and .env.example say the same as the code does."""

import ast
import json
import re
from fnmatch import fnmatch
from typing import Any

import pytest
import yaml

from speedtrade import env
from speedtrade.datafolder import PROJECT
from speedtrade.processes import PREPARE, STOP_ORDER, WEB

COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
VALUES = {"bind": "0.0.0.0", "port": "8000", "folder": "/tmp"}  # noqa: S104, S108 - in a container
#: What reads a variable that its first argument names. A new reader of speedtrade/env.py counts.
READERS = {name for name in vars(env) if name.startswith("env_")} | {"_secret"}
OURS = ("speedtrade", "accounts", "marketdata", "portfolio", "trading")
COMPOSE_ONLY = {"POSTGRES_PASSWORD", "POSTGRES_APP_PASSWORD", "REDIS_PASSWORD"}
#: What no container is told: production refuses the first, the image says the second, --to the
#: third, and the last is for the service alone that migrates.
NOT_PASSED = {"DEBUG", "STATIC_ROOT", "BACKUP_DIR", "DATABASE_APP_ROLE"}

#: What compose says itself, for its own network and containers.
OWN = {
    *("SPEEDTRADE_ENV", "SPEEDTRADE_BIND", "SPEEDTRADE_DATA_DIR", "PORT"),
    *("DATABASE_URL", "REDIS_URL"),
}


def names_read() -> set[str]:
    """Every environment variable that our code reads through speedtrade/env.py."""
    names = set()
    for app in OURS:
        for path in (PROJECT / app).rglob("*.py"):
            if "tests" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in READERS:
                    for first in node.args[:1]:
                        if isinstance(first, ast.Constant):
                            names.add(first.value)
    return names


def names_explained() -> set[str]:
    text = (PROJECT / ".env.example").read_text()
    return set(re.findall(r"^(?:# )?([A-Z][A-Z_]+)=", text, flags=re.MULTILINE))


def test_compose_has_exactly_our_processes_and_the_two_servers() -> None:
    assert set(SERVICES) == {process.name for process in STOP_ORDER} | {"migrate", "db", "redis"}


@pytest.mark.parametrize("process", STOP_ORDER, ids=lambda process: process.name)
def test_a_service_runs_the_command_that_up_runs(process: Any) -> None:
    assert SERVICES[process.name]["command"] == process.command(VALUES)


def test_the_migrate_service_prepares_as_up_does_but_makes_no_demo_user() -> None:
    assert SERVICES["migrate"]["command"] == list(PREPARE)


def test_everything_waits_for_the_migration_and_for_healthy_servers() -> None:
    for process in STOP_ORDER:
        conditions = {
            name: how["condition"] for name, how in SERVICES[process.name]["depends_on"].items()
        }
        assert conditions == {
            "migrate": "service_completed_successfully",
            "db": "service_healthy",
            "redis": "service_healthy",
        }


def test_every_lasting_service_has_a_health_check() -> None:
    assert {name for name, service in SERVICES.items() if "healthcheck" not in service} == {
        "migrate"
    }


def test_only_web_is_published_and_only_to_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"web": ["127.0.0.1:${PORT:-8000}:8000"]}
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert SERVICES["db"]["networks"] == SERVICES["redis"]["networks"] == ["inside"]


def test_no_password_and_no_secret_has_a_default() -> None:
    secret = COMPOSE_ONLY | {"SECRET_KEY", "JWT_SIGNING_KEY", "FIELD_KEYS"}
    used = re.findall(r"\$\{([A-Z_]+)([^}]*)\}", json.dumps(SERVICES))
    assert secret <= {name for name, _ in used}
    for name, rest in used:
        if name in secret | {"ALLOWED_HOSTS"}:
            assert rest.startswith(":?"), name


def test_our_containers_are_small_targets() -> None:
    for name in (*(process.name for process in STOP_ORDER), "migrate"):
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["environment"]["SPEEDTRADE_ENV"] == "production"


def test_the_queue_keeps_what_it_was_given() -> None:
    command = SERVICES["redis"]["command"][-1]
    for part in ("--appendonly yes", "--maxmemory-policy noeviction", "--requirepass"):
        assert part in command


def test_the_image_is_not_root_and_runs_the_web_process() -> None:
    lines = (PROJECT / "Dockerfile").read_text().splitlines()
    final = lines[max(i for i, line in enumerate(lines) if line.startswith("FROM ")) :]
    users = [line.split()[1] for line in final if line.startswith("USER ")]
    assert users
    assert users[-1] not in ("root", "0")
    command = next(line for line in final if line.startswith("CMD "))
    assert json.loads(command.removeprefix("CMD ")) == WEB.command(VALUES)


def left_out(name: str, lines: list[str]) -> bool:
    """Whether a list of patterns leaves out the file or folder `name` of the project's root."""
    out = False
    for line in lines:
        pattern = line.removeprefix("!").removeprefix("**/").strip("/")
        if fnmatch(name, pattern):
            out = not line.startswith("!")
    return out


@pytest.mark.parametrize("ignores", [".dockerignore", ".gitignore"])
def test_what_the_documents_put_into_the_project_goes_into_no_image_and_no_commit(
    ignores: str,
) -> None:
    """Fails where dumps that an upgrade begins with, or a file of secrets, would be copied."""
    lines = (PROJECT / ignores).read_text().splitlines()
    operations = (PROJECT / "docs" / "operations.md").read_text()
    folders = set(re.findall(r'-v "\$PWD/([\w./-]+):', operations))
    kubernetes = (PROJECT / "deploy" / "kubernetes" / "config.yaml").read_text()
    secrets = set(re.findall(r"--from-env-file=(\S+)", kubernetes))
    assert folders and secrets
    for name in folders | secrets | {".env", ".env.before", "speedtrade-20260101T030000Z.dump"}:
        assert left_out(name, lines), name
    assert not left_out(".env.example", lines)


def test_every_variable_that_is_read_is_explained_and_every_explained_one_is_read() -> None:
    assert names_read() == names_explained() - COMPOSE_ONLY


def test_whether_real_money_takes_a_second_factor_reaches_the_processes() -> None:
    assert SERVICES["web"]["environment"]["LIVE_SECOND_FACTOR"] == "${LIVE_SECOND_FACTOR:-true}"


def test_every_variable_that_is_explained_reaches_the_processes() -> None:
    """Fails where a limit that somebody set in `.env` would be left out without a word."""
    given = SERVICES["web"]["environment"]
    assert set(given) == names_explained() - COMPOSE_ONLY - NOT_PASSED
    for name, value in given.items():
        if name not in OWN:
            assert value.startswith(f"${{{name}:"), name
    assert {name for name, one in SERVICES.items() if one["environment"] == given} >= {
        process.name for process in STOP_ORDER
    }


def test_who_migrates_owns_the_tables_and_nobody_else() -> None:
    """The volume of roles is read by the image of PostgreSQL when it makes its database."""
    migrates = SERVICES["migrate"]["environment"]
    others = SERVICES["web"]["environment"]
    changed = {name for name in migrates if migrates[name] != others.get(name)}
    assert changed == {"DATABASE_URL", "DATABASE_APP_ROLE"}
    assert migrates["DATABASE_URL"].startswith("postgresql://speedtrade:${POSTGRES_PASSWORD:?")
    role = migrates["DATABASE_APP_ROLE"]
    assert others["DATABASE_URL"].startswith(f"postgresql://{role}:${{POSTGRES_APP_PASSWORD:?")
    assert "./deploy/postgresql:/docker-entrypoint-initdb.d:ro" in SERVICES["db"]["volumes"]
    made = (PROJECT / "deploy" / "postgresql" / "app-role.sql").read_text()
    assert f"CREATE ROLE {role} LOGIN PASSWORD" in made
    assert "\\getenv password POSTGRES_APP_PASSWORD" in made
    assert "POSTGRES_APP_PASSWORD" in SERVICES["db"]["environment"]
