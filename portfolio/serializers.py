"""Shapes of the portfolio's JSON, for the schema; `presenters` builds the values."""

from rest_framework import serializers

from speedtrade.lib.api import NumberField


class PositionSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    symbol = serializers.CharField()
    name = serializers.CharField()
    asset_type = serializers.CharField()
    qty = serializers.CharField()
    available_qty = serializers.CharField()
    avg_price = serializers.CharField()
    current_price = serializers.CharField(allow_null=True)
    market_value = serializers.CharField()
    cost_basis = serializers.CharField()
    unrealized_pl = serializers.CharField()
    unrealized_pl_pct = serializers.CharField()
    realized_pl = serializers.CharField()
    day_pl = serializers.CharField()
    day_pl_pct = serializers.CharField()
    fees = serializers.CharField()
    stale = serializers.BooleanField()
    opened_at = serializers.CharField(allow_null=True)


class PortfolioSerializer(serializers.Serializer):
    account_id = serializers.IntegerField()
    currency = serializers.CharField()
    cash_balance = serializers.CharField()
    buying_power = serializers.CharField()
    reserved = serializers.CharField()
    portfolio_value = serializers.CharField()
    positions_value = serializers.CharField()
    total_pl = serializers.CharField()
    total_pl_pct = serializers.CharField()
    day_pl = serializers.CharField()
    day_pl_pct = serializers.CharField()
    stale = serializers.BooleanField()
    as_of = serializers.CharField()
    positions = PositionSerializer(many=True)


class EquityPointSerializer(serializers.Serializer):
    t = serializers.CharField()
    equity = serializers.CharField()
    net_deposits = serializers.CharField()


class HistorySerializer(serializers.Serializer):
    account_id = serializers.IntegerField()
    period = serializers.CharField()
    change = serializers.CharField()
    change_pct = serializers.CharField()
    points = EquityPointSerializer(many=True)


class ActivitySerializer(serializers.Serializer):
    id = serializers.IntegerField()
    type = serializers.CharField()
    symbol = serializers.CharField(allow_null=True)
    side = serializers.CharField(allow_null=True)
    qty = serializers.CharField(allow_null=True)
    price = serializers.CharField(allow_null=True)
    fee = serializers.CharField()
    amount = serializers.CharField()
    order_id = serializers.IntegerField(allow_null=True)
    at = serializers.CharField()


class TransferInputSerializer(serializers.Serializer):
    direction = serializers.ChoiceField(choices=["deposit", "withdrawal"])
    amount = NumberField()
    account_id = serializers.IntegerField(required=False)


class TransferSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    account_id = serializers.IntegerField()
    direction = serializers.CharField()
    amount = serializers.CharField()
    created_at = serializers.CharField()
