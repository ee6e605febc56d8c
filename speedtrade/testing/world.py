"""The users in hard states of a running product, for browser tests and pictures.

Needs no settings: `speedtrade.testing.states` runs in a process of its own, with those of the
product's data folder.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from speedtrade.datafolder import PROJECT
from speedtrade.testing.product import NOT_INHERITED

#: Name -> {"password": …, "session": …, "orders": {state: number}}.
World = dict[str, dict[str, Any]]
PATIENCE = 120  # seconds on a busy machine; alone it takes about ten


def world_of(folder: Path) -> World:
    """Everybody of PEOPLE with a fresh session; made where the product has none yet.

    Raises AssertionError with what went wrong.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    done = subprocess.run(
        [sys.executable, "-m", "speedtrade.testing.states"],
        cwd=PROJECT,
        env=inherited | {"SPEEDTRADE_DATA_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    made: World = json.loads(done.stdout)
    return made


def cookie_of(world: World, name: str, url: str) -> Any:
    """The cookie that makes a browser theirs, for `context.add_cookies([…])`."""
    return {"name": "sessionid", "value": world[name]["session"], "url": url}
