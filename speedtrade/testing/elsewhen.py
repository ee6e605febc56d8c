"""A web server that lives at another time, for pages that depend on the clock.

    python -m speedtrade.testing.elsewhen 2026-11-27T13:30:00+00:00 <arguments of speedtrade.web>

Time goes on from there at its own pace.
"""

import runpy
import sys
from datetime import datetime

import time_machine

if __name__ == "__main__":
    moment = datetime.fromisoformat(sys.argv.pop(1))
    time_machine.travel(moment, tick=True).start()
    runpy.run_module("speedtrade.web", run_name="__main__", alter_sys=True)
