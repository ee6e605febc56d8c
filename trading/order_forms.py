"""What a person types to change an order, and to cancel all of them."""

import uuid

from django import forms

from speedtrade.lib.errors import InvalidInput
from speedtrade.lib.forms import number_text
from speedtrade.lib.money import plain
from trading.domain.orders import Changes, OrderType
from trading.intents import changes_parse
from trading.models import Order
from trading.refusals import RefusableForm
from trading.services.replacements import REPLACEABLE

CANCEL_WORD = "CANCEL"


class ReplaceForm(RefusableForm):
    """New total, limit price and time in force: text, as typed. `key` makes it happen once.

    A `large` one is shown again, to be confirmed on purpose.
    """

    qty = forms.CharField(label="New total", max_length=40, required=False)
    limit_price = forms.CharField(label="Limit price", max_length=40, required=False)
    time_in_force = forms.CharField(label="How long", max_length=8, required=False)
    large = False

    @classmethod
    def of(cls, order: Order) -> "ReplaceForm | None":
        """The form with the order's terms as they are, or None for one that cannot be changed."""
        if order.state not in REPLACEABLE or order.qty is None:
            return None
        limit = order.limit_price
        return cls(
            {
                "qty": plain(order.qty),
                "limit_price": "" if limit is None else plain(limit),
                "time_in_force": order.time_in_force,
                "key": uuid.uuid4().hex,
            }
        )

    @property
    def mistyped(self) -> str | None:
        """What was typed instead of the symbol; None where nobody was asked for it yet."""
        return self.text("word")[:40] if "word" in self.data else None

    def asking(self) -> "ReplaceForm":
        """The same, shown again with the question."""
        self.large = True
        return self

    def text(self, name: str) -> str:
        """What stands in a field."""
        return str(self.data.get(name, ""))

    def changes(self, order: Order) -> Changes:
        """What is asked for; raises InvalidInput with a message per field."""
        is_limit = order.order_type == OrderType.LIMIT
        changes = changes_parse(
            {
                "qty": number_text(self.text("qty")),
                "limit_price": number_text(self.text("limit_price")) if is_limit else "",
                "time_in_force": self.text("time_in_force"),
            }
        )
        wanted = (changes.qty, changes.limit_price, changes.time_in_force)
        if all(new in (None, old) for new, old in zip(wanted, _terms(order), strict=True)):
            raise InvalidInput("Nothing would change. Write another total, limit or time.")
        return changes


def _terms(order: Order) -> tuple[object, object, object]:
    return order.qty, order.limit_price, order.time_in_force
