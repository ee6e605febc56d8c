"""How orders end, and what holds one up: plain words, with what to do next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.contrib import messages

from speedtrade.lib.errors import CATALOGUE
from trading.domain.orders import OrderState
from trading.models import Order, OrderEvent
from trading.services.cancels import CanceledAll
from trading.services.executions import ABSENT, LEFT
from trading.words import filled_words, order_title

S = OrderState
REFUSALS_TOLD = 5  # of a cancel of everything, one by one; the rest is a number


@dataclass(frozen=True, slots=True)
class Outcome:
    """A banner on an order's page: its colour, its icon, a headline and what to know beside it."""

    css: str
    icon: str
    text: str
    detail: str


def is_checking(order: Order, now: datetime) -> bool:
    """Whether the broker has owed an answer for so long that the page says so."""
    waits = order.state in {S.PENDING, S.SUBMITTING} and order.replaces_id is None
    return waits and now - order.created_at > settings.ORDER_ANSWER_EXPECTED


def outcome(order: Order, events: Sequence[OrderEvent], now: datetime) -> Outcome | None:
    """What there is to say about an order beyond its status, or None."""
    state = OrderState(order.state)
    if is_checking(order, now) and state == S.PENDING:
        return Outcome(
            "warn",
            "clock",
            "Not sent yet.",
            "It has not left SpeedTrade: trading is stopped, or others are before it. It goes when "
            "its turn comes; until then it can be canceled.",
        )
    if is_checking(order, now):
        return Outcome(
            "warn",
            "clock",
            "Checking with the broker.",
            "It has not answered yet. Nothing is sent a second time; its answer will stand here.",
        )
    if state == S.LOST:
        return Outcome(
            "warn",
            "warn",
            "Being checked: the broker has not answered.",
            "It is never sent twice. What it may cost stays on hold until support has found out.",
        )
    if state == S.PENDING_CANCEL:
        return Outcome("warn", "clock", "Canceling…", "A fill that is under way still counts.")
    if state == S.PENDING_REPLACE:
        return Outcome(
            "warn",
            "clock",
            "Updating.",
            "Changing an order does not pause it: until it is out of the market it may still fill.",
        )
    if state == S.FILLED and any(event.new_state == S.PENDING_CANCEL for event in events):
        return Outcome("warn", "warn", "Too late: filled.", "It filled before the cancel arrived.")
    return _ended(order, state)


def _ended(order: Order, state: OrderState) -> Outcome | None:
    if order.reject_code == ABSENT:
        return Outcome(
            "warn",
            "warn",
            "Given up: the broker never confirmed it.",
            "It was not sent again and nothing is on hold. Should it turn up there after all, "
            "it is taken in again.",
        )
    if order.reject_code == LEFT:
        return Outcome(
            "warn",
            "warn",
            "Given up here: the broker does not take the key.",
            "It may still be open there: look at the broker's own page. Nothing is on hold here. "
            "Should a new key show it, it is taken in again.",
        )
    if state == S.REJECTED:
        problem = CATALOGUE.get(order.reject_code)
        why = order.reject_reason or "It gave no reason."
        fix = problem.remedy if problem else "Change the order and try again."
        return Outcome("loss", "bad", "The broker refused it.", f"{_sentence(why)} {fix}")
    if state not in {S.CANCELED, S.EXPIRED}:
        return None
    word = "Canceled" if state == S.CANCELED else "Expired"
    why = "" if state == S.CANCELED else _EXPIRED.get(order.time_in_force, "")
    if not order.filled_qty:
        detail = f"{why} Nothing was filled and nothing was charged."
        return Outcome("", "ban", f"{word}.", detail.strip())
    detail = f"{why} What filled stays yours; the rest will not fill any more."
    return Outcome("", "ban", f"{word} after {filled_words(order)} had filled.", detail.strip())


_EXPIRED = {
    "day": "It was good for the day, and the market closed.",
    "gtc": "It had waited for 90 days.",
    "ioc": "It was to fill at once, as far as it could.",
    "fok": "It was to fill at once and in full, or not at all.",
}


def _sentence(text: str) -> str:
    """Somebody else's words, as a sentence."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def too_late(order: Order, detail: str) -> str:
    """Why a cancel came to nothing."""
    if order.state == S.FILLED:
        return "Too late: filled. It had filled before the cancel arrived."
    return f"Too late: {detail}" if not order.is_open else f"Not canceled: {detail}"


def cancel_all_words(done: CanceledAll) -> list[tuple[int, str]]:
    """(level, text) of each message after a cancel of everything."""
    orders = "1 order is" if done.asked == 1 else f"{done.asked} orders are"
    told = [(messages.INFO, f"{orders} being canceled." if done.asked else "No order was open.")]
    if done.refused and not done.asked:
        told = []
    for order, detail in done.refused[:REFUSALS_TOLD]:
        told.append((messages.WARNING, f"{order_title(order)} was not canceled: {detail}"))
    more = len(done.refused) - REFUSALS_TOLD
    if more > 0:
        told.append((messages.WARNING, f"{more} more were not canceled."))
    return told
