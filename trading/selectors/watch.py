"""What staff watch: orders in flight for too long, lost ones, differences, lines that are down."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q, QuerySet

from accounts.models import AccountStatus
from trading.domain.orders import OrderState
from trading.models import (
    BrokerLink,
    Difference,
    Order,
    ParkedTask,
    Submission,
)

#: Somebody must answer before such an order goes on.
FLIGHT_STATES = (
    OrderState.PENDING,
    OrderState.SUBMITTING,
    OrderState.LOST,
    OrderState.PENDING_CANCEL,
)


def stuck_orders(*, now: datetime, older_than: timedelta) -> QuerySet[Order]:
    """Orders in flight for too long: what support looks at first."""
    return (
        Order.objects.filter(
            state__in=[state.value for state in FLIGHT_STATES], updated_at__lt=now - older_than
        )
        .select_related("instrument", "brokerage_account")
        .order_by("updated_at")
    )


def lost_orders() -> QuerySet[Order]:
    """Orders that were sent and that the broker does not know: their holds stay, a person looks."""
    return Order.objects.filter(state=OrderState.LOST.value)


def tasks_parked() -> QuerySet[ParkedTask]:
    """Work that ended its worker again and again, and that nobody has looked at."""
    return ParkedTask.objects.filter(released_at__isnull=True)


def differences_open() -> QuerySet[Difference]:
    """Where our books and a broker's disagree, seen often enough to be no passing moment."""
    return Difference.objects.filter(
        ended_at__isnull=True, sightings__gte=settings.DIFFERENCE_CONFIRMED
    )


def lines_down(*, now: datetime) -> tuple[int, int]:
    """(lines to brokers without a word for too long, all lines in use)."""
    used = BrokerLink.objects.filter(
        brokerage_account__status__in=[AccountStatus.ACTIVE, AccountStatus.ERROR]
    )
    heard = used.filter(orders_at__gte=now - settings.BLIND_AFTER).count()
    total = used.count()
    return total - heard, total


def clocks_off() -> QuerySet[BrokerLink]:
    """Lines to brokers whose clock was too far off when the key was last looked at."""
    most = settings.BROKER_CLOCK_MOST
    off = Q(clock_offset__gt=most) | Q(clock_offset__lt=-most)
    shut = [AccountStatus.DISCONNECTED, AccountStatus.CLOSED]
    return BrokerLink.objects.filter(off).exclude(brokerage_account__status__in=shut)


def orders_rejected_on(*, now: datetime) -> QuerySet[Order]:
    """What brokers refused since midnight UTC."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return Order.objects.filter(state=OrderState.REJECTED.value, closed_at__gte=midnight)


def stuck_submissions(*, now: datetime, older_than: timedelta) -> QuerySet[Submission]:
    """What a broker should have been told, and should have answered, long ago."""
    return Submission.objects.filter(done_at__isnull=True, created_at__lt=now - older_than)
