"""The time, for code that must ask anew because a call to a broker took some."""

from datetime import datetime

from django.utils import timezone

from speedtrade.lib.stage import stage


def now() -> datetime:
    """The time, in UTC. Where `now` is passed in, use that."""
    here = stage()
    return timezone.now() if here is None else here.now
