"""An alert meets a quote: it fires, or is ready again. Exactly once for each crossing.

Each is one transaction around one conditional UPDATE: of two processes, or of one quote that comes
twice, the second finds nothing to update.
"""

from datetime import datetime

from django.contrib.auth import get_user_model
from django.db import transaction

from marketdata.domain.alerts import AlertRepeat, AlertState
from marketdata.domain.quotes import Quote
from marketdata.models import Alert, AlertFiring
from speedtrade.lib.live import live_publish


@transaction.atomic
def alert_fire(*, alert_id: int, quote: Quote, now: datetime) -> bool:
    """Fire an alert that waits, log it and tell its owner; False where another was first."""
    # No join: Django would put all conditions into a subquery of keys, and PostgreSQL does not look
    # at that a second time after it has waited for another's lock.
    waiting = Alert.objects.filter(
        pk=alert_id,
        state=AlertState.WAITING,
        seen_at__lt=quote.as_of,
        user__in=get_user_model().objects.filter(is_active=True),
    )
    fired = waiting.update(
        state=AlertState.FIRED, seen_at=quote.as_of, fired_at=now, fired_price=quote.last
    )
    if not fired:
        return False
    alert = Alert.objects.get(pk=alert_id)
    AlertFiring.objects.create(
        user_id=alert.user_id,
        alert_number=alert.pk,
        instrument_id=alert.instrument_id,
        direction=alert.direction,
        level=alert.price,
        note=alert.note,
        price=quote.last,
        quote_at=quote.as_of,
        at=now,
    )
    live_publish(user_id=alert.user_id, kind="alert", thing_id=alert.pk)
    return True


@transaction.atomic
def alert_ready(*, alert_id: int, quote: Quote) -> bool:
    """The price is back: an alert that fires every time waits again, and its pages show it."""
    fired = Alert.objects.filter(
        pk=alert_id, state=AlertState.FIRED, repeat=AlertRepeat.EVERY, seen_at__lt=quote.as_of
    )
    if not fired.update(state=AlertState.WAITING, seen_at=quote.as_of):
        return False
    user_id = Alert.objects.values_list("user_id", flat=True).get(pk=alert_id)
    live_publish(user_id=user_id, kind="alert", thing_id=alert_id)
    return True
