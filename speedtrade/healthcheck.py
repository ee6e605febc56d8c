"""Ask a web process for its health: `python -m speedtrade.healthcheck` exits 0 when it can serve.

Standard library only and no settings: a container asks this every few seconds.
"""

import json
import sys
from http.client import HTTPConnection, HTTPException
from typing import Any

from speedtrade.env import env_int, env_list, env_str

TIMEOUT = 5.0  # seconds; /health itself answers within twice HEALTH_TIMEOUT


def ask_health(host: str, port: int) -> dict[str, Any] | None:
    """The answer of `/health` where it is 200, else None."""
    # Under the name people type: in production no other is let in.
    name = next(iter(env_list("ALLOWED_HOSTS")), "localhost").lstrip(".")
    connection = HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/health", headers={"Host": name})
        response = connection.getresponse()
        body = response.read()
        return dict(json.loads(body)) if response.status == 200 else None
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()


def reachable(bind: str) -> str:
    """The address under which this machine reaches what listens on `bind`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104 - only compared


if __name__ == "__main__":
    host = reachable(env_str("SPEEDTRADE_BIND", "127.0.0.1"))
    sys.exit(0 if ask_health(host, env_int("PORT", 8000, low=1)) else 1)
