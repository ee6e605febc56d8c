"""The gate before a broker: who may call now, so that a sick line or a spent budget hurts nobody.

One row per account (BrokerLink) carries it, so every worker sees the same gate. After
settings.GATE_FAILURES failures in a row it closes; then one probe passes each GATE_PROBE_PERIOD,
won by a conditional UPDATE, until one succeeds. A rate limit pauses all until it resets; while the
budget runs low only cancels and look-ups pass, and orders where the adapter keeps the pace itself.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from django.conf import settings
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from trading.brokers.base import (
    AuthFailed,
    Booked,
    Broker,
    BrokerOrder,
    BrokerRequest,
    Budget,
    Capabilities,
    CashEvent,
    Holdings,
    KeyFacts,
    NotSent,
    OrderRef,
    OutcomeUnknown,
    RateLimited,
    nothing_booked,
)
from trading.models import BrokerLink

Answer = TypeVar("Answer")
RATE_PAUSE = timedelta(seconds=10)  # where the broker did not say for how long


class GateClosed(NotSent):
    """We did not call: the line is resting, or the budget is kept for cancels and look-ups."""


class Gate:
    """The gate of one account; `pass_through` runs a call and learns from how it ends."""

    def __init__(self, account_id: int) -> None:
        self._account_id = account_id

    def pass_through(self, call: Callable[[], Answer], broker: Broker, *, urgent: bool) -> Answer:
        """Run `call` if it may pass; raises GateClosed, and whatever the call raises."""
        self._admit(urgent, broker.caps, timezone.now())
        try:
            answer = call()
        except RateLimited as error:
            until = error.retry_at or timezone.now() + RATE_PAUSE
            self._note(str(error), paused_until=until)
            raise
        except AuthFailed as error:
            self._failed(str(error), key_refused_at=timezone.now())
            raise
        except (OutcomeUnknown, NotSent) as error:
            self._failed(str(error))
            raise
        except Exception:
            self._heard(broker.budget)  # a refusal is an answer: the line works
            raise
        self._heard(broker.budget)
        return answer

    def _admit(self, urgent: bool, caps: Capabilities, now: datetime) -> None:
        link = self._row().first()
        if link is None:
            return
        # An adapter that keeps the pace itself knows better what may go at once.
        paced = urgent and caps.one_writer
        if link.paused_until and link.paused_until > now and not paced:
            raise GateClosed("The broker asks us to wait: too many requests.")
        if link.open_since is not None:
            probe = self._row().filter(Q(probe_at__isnull=True) | Q(probe_at__lte=now))
            if not probe.update(probe_at=now + settings.GATE_PROBE_PERIOD):
                raise GateClosed("The broker has not answered for a while; we try again soon.")
        low = link.remaining is not None and link.remaining <= caps.reserve
        if low and not urgent and link.resets_at and link.resets_at > now:
            raise GateClosed("Few requests are left; they are kept for cancels and look-ups.")

    def _heard(self, budget: Budget) -> None:
        news: dict[str, object] = {}
        if budget.remaining is not None:
            news = {"remaining": budget.remaining, "resets_at": budget.resets_at}
        rows = self._row()
        # One write only where something changes: most calls find the gate open and stay quiet.
        quiet = {"failures": 0, "open_since__isnull": True, "key_refused_at__isnull": True}
        if news or rows.exclude(**quiet).exists():
            rows.update(failures=0, open_since=None, probe_at=None, key_refused_at=None, **news)

    def _failed(self, words: str, **news: object) -> None:
        now = timezone.now()
        self._note(words, failures=F("failures") + 1, **news)
        self._row().filter(failures__gte=settings.GATE_FAILURES, open_since__isnull=True).update(
            open_since=now, probe_at=now + settings.GATE_PROBE_PERIOD
        )

    def _note(self, words: str, **news: object) -> None:
        self._row().update(last_error=words[:300], last_error_at=timezone.now(), **news)

    def _row(self) -> QuerySet[BrokerLink]:
        return BrokerLink.objects.filter(brokerage_account_id=self._account_id)


class GatedBroker:
    """A broker behind its gate; satisfies Broker."""

    def __init__(self, inner: Broker, account_id: int) -> None:
        self._inner, self._gate = inner, Gate(account_id)
        self.account_id = account_id

    @property
    def caps(self) -> Capabilities:
        return self._inner.caps

    @property
    def budget(self) -> Budget:
        return self._inner.budget

    def submit_order(self, request: BrokerRequest) -> BrokerOrder:
        # Where the adapter keeps the pace, what holds up its reads must hold up no order.
        paced = self.caps.one_writer
        return self._pass(lambda: self._inner.submit_order(request), urgent=paced)

    def find_order(self, ref: OrderRef) -> BrokerOrder | None:
        return self._pass(lambda: self._inner.find_order(ref), urgent=True)

    def cancel_order(self, ref: OrderRef) -> None:
        self._pass(lambda: self._inner.cancel_order(ref), urgent=True)

    def list_orders(self, refs: Sequence[OrderRef]) -> Sequence[BrokerOrder]:
        return self._pass(lambda: self._inner.list_orders(refs), urgent=True)

    def list_since(self, since: datetime, booked: Booked = nothing_booked) -> Sequence[BrokerOrder]:
        return self._pass(lambda: self._inner.list_since(since, booked), urgent=True)

    def holdings(self) -> Holdings:
        return self._pass(self._inner.holdings)

    def cash_events(self, since: datetime) -> Sequence[CashEvent]:
        return self._pass(lambda: self._inner.cash_events(since))

    def check(self) -> KeyFacts:
        return self._pass(self._inner.check)

    def _pass(self, call: Callable[[], Answer], *, urgent: bool = False) -> Answer:
        return self._gate.pass_through(call, self._inner, urgent=urgent)
