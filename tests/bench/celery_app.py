"""The product's Celery with two tasks of the bench: nothing, and one row written."""

from speedtrade.celery import app

QUEUE = "bench"


@app.task(name="bench.nothing")
def nothing() -> None:
    """The price of a task."""


@app.task(name="bench.write")
def write(account_id: int) -> None:
    """One UPDATE, in its own transaction."""
    from accounts.models import BrokerageAccount

    BrokerageAccount.objects.filter(pk=account_id).update(status_reason="")
