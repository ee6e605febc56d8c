"""The JSON shapes of users and brokerage accounts; an allow-list in both directions."""

from typing import Any

from rest_framework import serializers

from accounts.keys import BrokerKey
from accounts.models import BrokerageAccount, User
from accounts.services.accounts import LABEL_MAX
from accounts.services.offers import live_confirmed
from accounts.tokens import TokenPair
from speedtrade.lib.api import NumberField
from speedtrade.lib.money import money


class RegisterSerializer(serializers.Serializer[Any]):
    """Texts only: the service says everything that is wrong with them, in one go."""

    username = serializers.CharField(allow_blank=True)
    email = serializers.CharField(allow_blank=True)
    password = serializers.CharField(
        allow_blank=True, trim_whitespace=False, write_only=True, style={"input_type": "password"}
    )


class LoginSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=254, help_text="Name or e-mail address.")
    password = serializers.CharField(
        trim_whitespace=False, write_only=True, style={"input_type": "password"}
    )
    otp = serializers.CharField(
        max_length=40,
        allow_blank=True,
        default="",
        write_only=True,
        help_text="With a second factor: a code of the app, or a recovery code.",
    )


class RefreshSerializer(serializers.Serializer[Any]):
    refresh_token = serializers.CharField(max_length=2048)


class TokenPairSerializer(serializers.Serializer[TokenPair]):
    access_token = serializers.CharField()
    refresh_token = serializers.CharField()
    token_type = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds until the access token expires.")


class UserSerializer(serializers.ModelSerializer[User]):
    created_at = serializers.DateTimeField(source="date_joined")

    class Meta:
        model = User
        fields = ["id", "username", "email", "theme", "is_staff", "created_at"]
        read_only_fields = fields


class AccountSerializer(serializers.ModelSerializer[BrokerageAccount]):
    order_cap = serializers.SerializerMethodField()
    day_cap = serializers.SerializerMethodField()

    def get_order_cap(self, account: BrokerageAccount) -> str | None:
        return None if account.order_cap is None else money(account.order_cap)

    def get_day_cap(self, account: BrokerageAccount) -> str | None:
        return None if account.day_cap is None else money(account.day_cap)

    class Meta:
        model = BrokerageAccount
        fields = [
            "id",
            "label",
            "broker",
            "exchange",
            "mode",
            "currency",
            "status",
            "status_reason",
            "is_default",
            "order_cap",
            "day_cap",
            "stopped_at",
            "connected_at",
            "last_synced_at",
            "created_at",
        ]
        read_only_fields = fields


def _hidden(**options: Any) -> serializers.CharField:
    """A text that goes in and never comes out."""
    return serializers.CharField(
        write_only=True, allow_blank=True, default="", style={"input_type": "password"}, **options
    )


class AccountChangeSerializer(serializers.Serializer[Any]):
    label = serializers.CharField(  # type: ignore[assignment]  # a field of that name
        max_length=LABEL_MAX, required=False
    )
    is_default = serializers.BooleanField(required=False)
    order_cap = NumberField(
        required=False,
        allow_null=True,
        help_text="What one order may be worth; null for the limit of the house alone.",
    )
    day_cap = NumberField(
        required=False,
        allow_null=True,
        help_text="What orders may come to in a day; null for the limit of the house alone.",
    )
    password = _hidden(
        trim_whitespace=False, help_text="Your password: only a limit that is raised takes it."
    )


class AccountKeySerializer(serializers.Serializer[Any]):
    """What the broker gave its customer; no answer of ours holds any of it."""

    api_key = _hidden(help_text="The broker's name for the key.")
    secret_key = _hidden(trim_whitespace=False, help_text="The secret that belongs to it.")
    passphrase = _hidden(allow_null=True, help_text="Where the broker asks for one.")

    def key(self) -> BrokerKey:
        """The key that was sent; the service says what is wrong with it."""
        given = self.validated_data
        return BrokerKey(given["api_key"], given["secret_key"], given["passphrase"] or "")


class LiveWordField(serializers.BooleanField):
    """JSON true, or the word "live": nothing else confirms real money."""

    def to_internal_value(self, data: Any) -> bool:
        return live_confirmed(data)


class AccountConnectSerializer(AccountKeySerializer):
    """Texts only: the service says everything that is wrong with them, in one go."""

    broker = serializers.CharField(help_text="alpaca or ccxt.")
    mode = serializers.CharField(allow_blank=True, default="", help_text="paper or live.")
    exchange = serializers.CharField(
        allow_blank=True,
        allow_null=True,
        default="",
        help_text="Of ccxt: kraken or coinbase.",
    )
    label = serializers.CharField(  # type: ignore[assignment]  # a field of that name
        allow_blank=True, allow_null=True, default=""
    )
    confirm_live = LiveWordField(
        allow_null=True,
        default=False,
        help_text='Real money: true, or the word "live". Needed for mode live.',
    )

    def wish(self) -> dict[str, Any]:
        """What `account_connect` is asked for."""
        names = ("broker", "mode", "exchange", "label", "confirm_live")
        return {"key": self.key(), **{name: self.validated_data[name] or "" for name in names}}


class KeyCheckSerializer(serializers.Serializer[Any]):
    detail = serializers.CharField(help_text="What the key may do, in a sentence.")
