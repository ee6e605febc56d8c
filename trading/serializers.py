"""Shapes of the orders' JSON, for the schema; `intents` parses and `presenters` builds."""

from rest_framework import serializers

from speedtrade.lib.api import NumberField
from trading.domain.orders import OrderState, OrderType, Side, TimeInForce, public_status

STATUSES = sorted({public_status(state) for state in OrderState})


class FillSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    qty = serializers.CharField()
    price = serializers.CharField()
    fee = serializers.CharField()
    executed_at = serializers.CharField()
    evidence = serializers.DictField()


class OrderInputSerializer(serializers.Serializer):
    symbol = serializers.CharField()
    asset_type = serializers.ChoiceField(choices=["stock", "crypto"], required=False)
    side = serializers.ChoiceField(choices=[side.value for side in Side])
    order_type = serializers.ChoiceField(choices=[kind.value for kind in OrderType])
    qty = NumberField(required=False)
    notional = NumberField(required=False)
    limit_price = NumberField(required=False)
    time_in_force = serializers.ChoiceField(
        choices=[tif.value for tif in TimeInForce], required=False
    )
    extended_hours = serializers.BooleanField(required=False)
    client_order_id = serializers.CharField(required=False)
    account_id = serializers.IntegerField(required=False)


class ChangesSerializer(serializers.Serializer):
    qty = NumberField(required=False)
    limit_price = NumberField(required=False)
    time_in_force = serializers.ChoiceField(
        choices=[tif.value for tif in TimeInForce], required=False
    )


class OrderSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    client_order_id = serializers.CharField()
    account_id = serializers.IntegerField()
    symbol = serializers.CharField()
    asset_type = serializers.CharField()
    side = serializers.CharField()
    order_type = serializers.CharField()
    time_in_force = serializers.CharField()
    qty = serializers.CharField(allow_null=True)
    notional = serializers.CharField(allow_null=True)
    filled_qty = serializers.CharField()
    avg_fill_price = serializers.CharField(allow_null=True)
    limit_price = serializers.CharField(allow_null=True)
    stop_price = serializers.CharField(allow_null=True)
    trail_price = serializers.CharField(allow_null=True)
    trail_percent = serializers.CharField(allow_null=True)
    extended_hours = serializers.BooleanField()
    status = serializers.ChoiceField(choices=STATUSES)
    reject_reason = serializers.CharField(allow_null=True)
    submitted_at = serializers.CharField(allow_null=True)
    filled_at = serializers.CharField(allow_null=True)
    canceled_at = serializers.CharField(allow_null=True)
    created_at = serializers.CharField()
    expires_at = serializers.CharField(allow_null=True)
    fees = serializers.CharField()
    replaces = serializers.IntegerField(allow_null=True)
    fills = FillSerializer(many=True)
