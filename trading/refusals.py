"""How a form says why an order was refused: at the field that it is about, with what to change."""

import re
import uuid
from typing import ClassVar, Self

from accounts.forms import HouseForm
from speedtrade.lib.errors import CATALOGUE, DomainError

_KEY = re.compile(r"[0-9a-f]{32}", re.ASCII)
#: code of a refusal -> the part of an order that it is about; others stand above the form
_ABOUT = {
    "qty_off_grid": "qty",
    "qty_too_small": "qty",
    "qty_too_large": "qty",
    "order_notional_limit": "qty",
    "insufficient_buying_power": "qty",
    "insufficient_position": "qty",
    "position_limit": "qty",
    "price_off_grid": "limit_price",
    "price_collar": "limit_price",
    "quote_stale": "order_type",
    "market_closed": "time_in_force",
}


class RefusableForm(HouseForm):
    """A form of an order; `named` says where a part of it has another name on the page."""

    named: ClassVar[dict[str, str]] = {}

    @property
    def key(self) -> str:
        """The key that this form was shown with, which makes it happen once; a new one where it
        has none of ours."""
        given = str(self.data.get("key", ""))
        return given if _KEY.fullmatch(given) else uuid.uuid4().hex

    def with_refusal(self, error: DomainError) -> Self:
        """Show why not at the field it is about, with what to change."""
        self.full_clean()
        for one in error.errors:
            self.add_error(self._field(one.field), one.detail)
        if not error.errors:
            problem = CATALOGUE.get(error.code) if error.code != "invalid" else None
            remedy = f" {problem.remedy}" if problem else ""
            self.add_error(self._field(_ABOUT.get(error.code, "")), f"{error.detail}{remedy}")
        return self

    def _field(self, part: str) -> str | None:
        """The field of a part of an order, or None: above the form."""
        name = self.named.get(part, part)
        return name if name in self.fields else None
