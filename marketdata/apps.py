from django.apps import AppConfig


class MarketDataConfig(AppConfig):
    name = "marketdata"
    verbose_name = "Market data"

    def ready(self) -> None:
        from marketdata import (
            checks,  # noqa: F401 - importing registers them
            hooks,
        )

        hooks.register()
