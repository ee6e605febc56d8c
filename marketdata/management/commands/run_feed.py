"""`manage.py run_feed`: the one process that publishes quotes."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from marketdata.feeds.base import VendorFeed
from marketdata.feeds.registry import feeds_running
from marketdata.services.alert_watch import AlertWatch
from marketdata.services.bars import BarsDesk, BarsKeeper
from marketdata.services.feeding import Aide, FeedProcess, SystemClock
from marketdata.services.listings import ListingsDesk
from marketdata.services.publishing import QuotePublisher
from speedtrade.lib.lease import Lease


class Command(BaseCommand):
    help = (
        "Publish the quotes of MARKET_DATA_FEEDS and fire price alerts until SIGTERM. "
        "A second copy waits its turn."
    )
    requires_system_checks: list[str] = []  # `prepare` has run them

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        alerts = AlertWatch()
        feeds = feeds_running()
        relisted = threading.Event()
        vendors = [feed for feed in feeds if isinstance(feed, VendorFeed)]
        desks = [BarsDesk(feed) for feed in vendors]
        aides: list[Aide] = [*vendors, *desks, ListingsDesk(feeds, relisted), BarsKeeper(feeds)]
        process = FeedProcess(
            publisher=QuotePublisher(feeds, watch=alerts.take),
            lease=Lease("feed"),
            clock=SystemClock(stop),
            aides=aides,
            relisted=relisted,
        )
        alerts.start()
        try:
            process.run()
        finally:
            alerts.stop()
