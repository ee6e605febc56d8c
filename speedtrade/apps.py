from django.apps import AppConfig


class SpeedTradeConfig(AppConfig):
    name = "speedtrade"

    def ready(self) -> None:
        # Tasks are shared_task: the one Celery app must exist before any of them is called.
        from speedtrade import celery  # noqa: F401
