"""Which machine a figure was measured on, in the words of docs/benchmarks.md."""

import os
import platform
import sys
import sysconfig
from datetime import UTC, datetime
from pathlib import Path

from django.db import connection

from speedtrade.lib.redis import redis_client


def machine_lines() -> str:
    """A list in Markdown: processor, Python and how it was built, servers, date, load."""
    build = sysconfig.get_config_var("CONFIG_ARGS") or ""
    debian = sys.base_prefix == "/usr"  # which does so by rules of its own
    optimised = "with" if debian or "--enable-optimizations" in build else "without"
    info = redis_client().info("server")
    server = (
        f"{info.get('server_name', 'redis')} {info.get('valkey_version', info['redis_version'])}"
    )
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        postgres = cursor.fetchone()[0]
    loads = " / ".join(f"{load:.2f}" for load in os.getloadavg())
    return "\n".join(
        (
            f"- processor: {_processor()}, {os.cpu_count()} cores",
            f"- Python {platform.python_version()}, built {optimised} profile-guided optimisation",
            f"- PostgreSQL {postgres} (fsync on), {server}, {platform.system()}",
            f"- {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load average at the end {loads}",
        )
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
