"""The ticket: what a person typed. `trading.intents` parses it, the checks of risk judge it."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

from django import forms

from accounts.models import User
from marketdata.models import AssetType, Instrument
from speedtrade.lib.forms import number_text
from speedtrade.lib.money import NotANumber, parse_decimal, plain
from trading.desks import Desk
from trading.domain.orders import OrderIntent, Side
from trading.intents import intent_parse
from trading.refusals import RefusableForm
from trading.reviews import intent_values

SIDES = [("buy", "Buy"), ("sell", "Sell")]
TYPES = [("market", "Market"), ("limit", "Limit")]
UNITS = [("shares", "Shares"), ("dollars", "Dollars")]
SHARES = {"25": Decimal("0.25"), "50": Decimal("0.5"), "75": Decimal("0.75"), "100": Decimal(1)}


class TicketForm(RefusableForm):
    """Side, type, amount in shares or dollars, limit price, time in force: text, as typed."""

    named: ClassVar = {"qty": "amount", "notional": "amount"}

    side = forms.CharField(max_length=8, required=False)
    order_type = forms.CharField(label="Type", max_length=16, required=False)
    unit = forms.CharField(max_length=8, required=False)
    amount = forms.CharField(label="Amount", max_length=40, required=False)
    limit_price = forms.CharField(label="Limit price", max_length=40, required=False)
    time_in_force = forms.CharField(label="How long", max_length=8, required=False)

    @classmethod
    def fresh(cls, desk: Desk, asked: Mapping[str, Any], user: User) -> "TicketForm":
        """A ticket to start from: what an address asks for (`?side=sell&share=100`), else the unit
        that the user prefers and the type of their last order."""
        values = {name: str(asked.get(name, ""))[:40] for name in cls.base_fields}
        usual = {"side": "buy", "order_type": user.order_type, "unit": user.order_unit}
        for name, choices in (("side", SIDES), ("order_type", TYPES), ("unit", UNITS)):
            known = [choice for choice, _ in choices]
            offered = [value for value in (values[name], usual[name]) if value in known]
            values[name] = (offered or known)[0]
        values["time_in_force"] = values["time_in_force"] or default_tif(desk.instrument)
        form = cls(values)
        return form.filled(desk, asked["share"]) if asked.get("share") in SHARES else form

    @classmethod
    def of_intent(cls, intent: OrderIntent) -> "TicketForm":
        """The ticket that an intent was typed into."""
        values = intent_values(intent)
        values["unit"] = "shares" if intent.qty is not None else "dollars"
        values["amount"] = values.get("qty") or values.get("notional", "")
        return cls(values)

    def answered(self, desk: Desk) -> "TicketForm":
        """This ticket after the button that was pressed on it: a share of what is free, or the
        price of now as a limit."""
        if self.data.get("at_limit"):
            price = desk.price_for(Side.SELL if self.text("side") == "sell" else Side.BUY)
            changed = {"order_type": "limit", "limit_price": plain(price) if price else ""}
            return type(self)(self._kept() | changed)
        share = self.text("share")
        return self.filled(desk, share) if share else self

    def filled(self, desk: Desk, share: str) -> "TicketForm":
        """This ticket with the amount that a share of what is free comes to."""
        values = self._kept()
        part = SHARES.get(share, Decimal(1))
        if values["side"] == Side.SELL.value:
            # All of a position in dollars would leave dust behind: a sale is counted in units.
            values["unit"] = "shares"
            amount = desk.share(side=Side.SELL, share=part, limit=None)
        elif values["unit"] == "dollars":
            amount = desk.share_of_money(part)
        else:
            amount = desk.share(side=Side.BUY, share=part, limit=self._limit())
        values["amount"] = plain(amount)
        return type(self)(values)

    def _limit(self) -> Decimal | None:
        if self.data.get("order_type") != "limit":
            return None
        try:
            return parse_decimal(number_text(str(self.data.get("limit_price", ""))))
        except NotANumber:
            return None

    def _kept(self) -> dict[str, str]:
        return {name: self.text(name) for name in self.fields} | {"key": self.key}

    def renewed(self) -> "TicketForm":
        """This ticket with a new key, after an order was placed with its old one."""
        form = type(self)({name: self.text(name) for name in self.fields})
        form.full_clean()
        form.add_error(
            None, "This ticket has become an order already. To place another one, send it again."
        )
        return form

    def text(self, name: str) -> str:
        """What stands in a field."""
        return str(self.data.get(name, ""))

    def intent(self, instrument: Instrument) -> OrderIntent:
        """What was asked for; raises InvalidInput with a message per field."""
        unit = "notional" if self.text("unit") == "dollars" else "qty"
        is_limit = self.text("order_type") == "limit"
        return intent_parse(
            {
                "symbol": instrument.symbol,
                "side": self.text("side"),
                "order_type": self.text("order_type"),
                unit: number_text(self.text("amount")),
                # The field of the other type may still hold what was typed before.
                "limit_price": number_text(self.text("limit_price")) if is_limit else "",
                "time_in_force": self.text("time_in_force"),
            }
        )[0]

    @property
    def waits(self) -> bool | None:
        """Whether the ticket said that an order would wait for the market; None: it did not say."""
        return {"1": True, "0": False}.get(self.text("waits"))

    def link(self) -> dict[str, str]:
        """What an address needs to bring this ticket back."""
        return {name: self.text(name) for name in self.fields if self.text(name)}


def default_tif(instrument: Instrument) -> str:
    """Stocks: the day. Coins never close, so an order lasts until it is canceled."""
    return "gtc" if instrument.asset_type == AssetType.CRYPTO else "day"
