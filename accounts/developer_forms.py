"""The form of a new API key."""

from typing import Any

from django import forms
from django.conf import settings

from accounts.forms import HouseForm
from accounts.models import BrokerageAccount, Scope
from accounts.services.api_keys import NAME_MAX

ALL = ""


class ApiKeyForm(HouseForm):
    name = forms.CharField(
        label="Name",
        max_length=NAME_MAX,
        help_text="Of the program that will use it.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )
    scope = forms.ChoiceField(
        label="It may",
        choices=[
            (Scope.READ.value, "Read: see accounts, orders, positions and prices"),
            (Scope.TRADE.value, "Read and trade: place and cancel orders as well"),
        ],
        initial=Scope.READ.value,
        widget=forms.RadioSelect({"class": "choices"}),
    )
    account = forms.TypedChoiceField(label="In", required=False, coerce=int, empty_value=None)
    networks = forms.CharField(
        label="Only from these addresses",
        max_length=1000,
        required=False,
        help_text="Such as 203.0.113.7 or 2001:db8::/32, with blanks between. Empty: any.",
        widget=forms.TextInput(
            {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    days = forms.IntegerField(
        label="It lives for so many days",
        min_value=1,
        max_value=settings.API_KEY_DAYS_MAX,
        initial=settings.API_KEY_DAYS,
        help_text=f"At most {settings.API_KEY_DAYS_MAX}. Then a program needs a new one.",
    )
    password = forms.CharField(
        label="Your password",
        widget=forms.PasswordInput({"autocomplete": "current-password"}),
        strip=False,
    )

    def __init__(self, *args: Any, accounts: list[BrokerageAccount], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(ALL, "All my accounts"), *((str(one.pk), one.label) for one in accounts)]
        self.fields["account"].choices = choices  # type: ignore[attr-defined]

    def wish(self) -> dict[str, Any]:
        """What `key_create` is asked for."""
        given = dict(self.cleaned_data)
        account_id = given.pop("account")
        return {**given, "account_id": account_id}
