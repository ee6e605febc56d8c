"""Forms of broker accounts. What was typed as a key is never put into a page again."""

from typing import Any

from django import forms
from django.conf import settings

from accounts.forms import HouseForm
from accounts.keys import BrokerKey
from accounts.models import BrokerageAccount, BrokerKind, Mode
from accounts.services.accounts import LABEL_MAX
from accounts.services.offers import KEY_MAX, LIVE_WORD, SECRET_MAX


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
    """The name of an account; `accounts.forms.LimitsForm` has its limits."""

    label = forms.CharField(label="Name", max_length=LABEL_MAX, widget=forms.TextInput(_typed()))

    @classmethod
    def of(cls, account: BrokerageAccount) -> "AccountForm":
        return cls(initial={"label": account.label})
