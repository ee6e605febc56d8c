"""Ask a web process for its health: `python -m speedtrade.healthcheck` exits 0 when it serves.

`--check worker` asks what it says of the worker. Standard library only and no settings: containers
ask this every few seconds.
"""

import argparse
import json
import sys
from http.client import HTTPConnection, HTTPException
from typing import Any

from speedtrade.env import env_list, env_port, env_str

TIMEOUT = 5.0  # seconds; /health itself answers within twice HEALTH_TIMEOUT


def ask_health(host: str, port: int) -> dict[str, Any] | None:
    """The answer of `/health`, well or not; None where there is none."""
    status, body = _ask(host, port, "/health")
    try:
        return dict(json.loads(body)) if status in {200, 503} else None
    except ValueError:
        return None


def _ask(host: str, port: int, path: str) -> tuple[int, bytes]:
    """Status and body, status 0 where nobody answers."""
    # Under the name people type: in production no other is let in.
    name = next(iter(env_list("ALLOWED_HOSTS")), "localhost").lstrip(".")
    connection = HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        connection.request("GET", path, headers={"Host": name})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, HTTPException):
        return 0, b""
    finally:
        connection.close()


def reachable(bind: str) -> str:
    """The address under which this machine reaches what listens on `bind`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104 # nosec B104 - only compared


def main(arguments: list[str]) -> int:
    """0 when the web process serves and, with --check, finds that dependency well; else 1."""
    parser = argparse.ArgumentParser(prog="speedtrade.healthcheck")
    parser.add_argument("--host", default=reachable(env_str("SPEEDTRADE_BIND", "127.0.0.1")))
    parser.add_argument("--check", help="database, redis, worker or feed")
    chosen = parser.parse_args(arguments)
    port = env_port("PORT", 8000)
    if not chosen.check:
        # Whether it serves; who works behind it may only be starting yet.
        return int(_ask(chosen.host, port, "/health/ready")[0] != 204)
    health = ask_health(chosen.host, port) or {}
    return int(health.get("checks", {}).get(chosen.check) != "ok")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
