from django.apps import AppConfig
from django.db.backends.signals import connection_created


class SpeedTradeConfig(AppConfig):
    name = "speedtrade"

    def ready(self) -> None:
        # Tasks are shared_task: the one Celery app must exist before any of them is called.
        from speedtrade import celery  # noqa: F401
        from speedtrade.backups.holding import keep_out

        connection_created.connect(keep_out, dispatch_uid="restore")
