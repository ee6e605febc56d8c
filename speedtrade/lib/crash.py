"""Named points at which a test may kill the process, as a power cut would.

`SPEEDTRADE_CRASH=after_claim:2` ends the process with SIGKILL the second time it passes that point.
Outside the test and development environments the points do nothing at all.
"""

import os
import signal

from django.conf import settings

_target, _, _nth = os.environ.get("SPEEDTRADE_CRASH", "").partition(":")
_left = int(_nth or 1)


def crash_point(name: str) -> None:
    """Die here when a test asked for it."""
    global _left
    if name != _target or settings.PRODUCTION:
        return
    _left -= 1
    if _left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
