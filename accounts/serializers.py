"""The JSON shapes of users and brokerage accounts; an allow-list in both directions."""

from typing import Any

from rest_framework import serializers

from accounts.models import BrokerageAccount, User
from accounts.services.accounts import LABEL_MAX
from accounts.tokens import TokenPair


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
            "last_synced_at",
            "created_at",
        ]
        read_only_fields = fields


class AccountChangeSerializer(serializers.Serializer[Any]):
    label = serializers.CharField(  # type: ignore[assignment]  # a field of that name
        max_length=LABEL_MAX, required=False
    )
    is_default = serializers.BooleanField(required=False)


class AccountConnectSerializer(serializers.Serializer[Any]):
    broker = serializers.CharField(max_length=20)
