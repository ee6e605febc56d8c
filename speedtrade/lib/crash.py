"""Named points at which a test may kill the process, as a power cut would.

`SPEEDTRADE_CRASH=after_claim:2` ends the process with SIGKILL the second time it passes that point.
In a simulation the stage decides, and death is an exception that takes the transaction with it.
Outside the test and development environments the points do nothing at all.
"""

import os
import signal

from django.conf import settings

from speedtrade.lib.stage import stage

_target, _, _nth = os.environ.get("SPEEDTRADE_CRASH", "").partition(":")
_left = int(_nth or 1)


class Killed(BaseException):
    """The process that made the call is gone: nothing of ours runs any more."""


def crash_point(name: str) -> None:
    """Die here when a test asked for it."""
    global _left
    here = stage()
    if here is not None:
        here.crash(name)
        return
    if name != _target or settings.PRODUCTION:
        return
    _left -= 1
    if _left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
