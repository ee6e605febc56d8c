"""Forms of broker accounts. What was typed as a key is never put into a page again."""

from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings

from accounts.forms import HouseForm
from accounts.keys import BrokerKey
from accounts.models import BrokerageAccount, BrokerKind, Mode
from accounts.services.accounts import LABEL_MAX
from accounts.services.offers import KEY_MAX, LIVE_WORD, SECRET_MAX
from speedtrade.lib.money import NotANumber, parse_decimal, plain


def _typed(**more: Any) -> dict[str, Any]:
    return {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false", **more}


def _hidden(label: str, most: int, **more: Any) -> forms.CharField:
    """A field for a part of a key: a browser neither shows nor keeps it, and no page repeats it."""
    widget = forms.PasswordInput(_typed(), render_value=False)
    return forms.CharField(label=label, max_length=most, strip=False, widget=widget, **more)


class KeyForm(HouseForm):
    api_key = _hidden("API key", KEY_MAX)
    secret_key = _hidden("Secret key", SECRET_MAX)
    passphrase = _hidden(
        "Passphrase", KEY_MAX, required=False, help_text="Where the exchange gave you one."
    )

    def key(self) -> BrokerKey:
        given = self.cleaned_data
        return BrokerKey(given["api_key"], given["secret_key"], given.get("passphrase", ""))


class ConnectForm(KeyForm):
    """The fields that a broker asks for; which one it is was chosen before."""

    field_order = ("broker", "exchange", "mode", "api_key", "secret_key", "passphrase", "label")

    broker = forms.CharField(widget=forms.HiddenInput)
    exchange = forms.ChoiceField(label="Exchange")
    mode = forms.ChoiceField(
        label="Market",
        choices=[
            (Mode.PAPER.value, "Paper: the broker's market for tests"),
            (Mode.LIVE.value, "Live: real money"),
        ],
        initial=Mode.PAPER.value,
        widget=forms.RadioSelect({"class": "choices"}),
    )
    label = forms.CharField(
        label="Name of the account",
        max_length=LABEL_MAX,
        required=False,
        help_text="As you want to read it here.",
        widget=forms.TextInput(_typed()),
    )
    confirm_live = forms.CharField(
        label=f'For real money type "{LIVE_WORD}"',
        max_length=20,
        required=False,
        help_text="Only for a live market: orders will move real money.",
        widget=forms.TextInput(_typed()),
    )

    def __init__(self, *args: Any, broker: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["broker"] = broker
        if broker == BrokerKind.CCXT:
            names = [(name, name.capitalize()) for name in settings.CCXT_EXCHANGES]
            self.fields["exchange"].choices = names  # type: ignore[attr-defined]
        else:
            del self.fields["exchange"], self.fields["passphrase"]

    def wish(self) -> dict[str, Any]:
        """What `account_connect` is asked for."""
        given = self.cleaned_data
        names = ("broker", "mode", "label", "confirm_live")
        wish = {name: given[name] for name in names}
        return {**wish, "exchange": given.get("exchange", ""), "key": self.key()}


class AccountForm(HouseForm):
    """Name and cap of an account."""

    label = forms.CharField(label="Name", max_length=LABEL_MAX, widget=forms.TextInput(_typed()))
    day_cap = forms.CharField(
        label="Orders of a day come to at most",
        max_length=40,
        required=False,
        help_text="In the money of the account. Beyond it new orders are refused until tomorrow.",
        widget=forms.TextInput(_typed(inputmode="decimal")),
    )

    @classmethod
    def of(cls, account: BrokerageAccount) -> "AccountForm":
        cap = "" if account.day_cap is None else plain(account.day_cap)
        return cls(initial={"label": account.label, "day_cap": cap})

    def clean_day_cap(self) -> Decimal | None:
        text = self.cleaned_data["day_cap"].strip().replace(",", "").removeprefix("$")
        if not text:
            return None
        try:
            return parse_decimal(text)
        except NotANumber as error:
            raise forms.ValidationError(str(error)) from error
