import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import speedtrade.lib.fields


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Instrument",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("symbol", models.CharField(max_length=20, unique=True)),
                ("name", models.CharField(max_length=120)),
                (
                    "asset_type",
                    models.CharField(
                        choices=[("stock", "Stock"), ("crypto", "Crypto")], max_length=6
                    ),
                ),
                ("exchange", models.CharField(max_length=20)),
                ("sector", models.CharField(blank=True, default="", max_length=40)),
                ("price_tick", speedtrade.lib.fields.PriceField(decimal_places=10, max_digits=20)),
                ("qty_step", speedtrade.lib.fields.QuantityField(decimal_places=10, max_digits=28)),
                ("min_qty", speedtrade.lib.fields.QuantityField(decimal_places=10, max_digits=28)),
                ("min_notional", speedtrade.lib.fields.MoneyField(decimal_places=8, max_digits=28)),
                ("fractionable", models.BooleanField(default=False)),
                ("tradable", models.BooleanField(default=True)),
                ("shortable", models.BooleanField(default=False)),
                ("halted_at", models.DateTimeField(blank=True, null=True)),
                ("halt_reason", models.CharField(blank=True, default="", max_length=200)),
                ("feed", models.CharField(default="simulated", max_length=20)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("min_notional__gte", 0),
                            ("min_qty__gte", 0),
                            ("price_tick__gt", 0),
                            ("qty_step__gt", 0),
                        ),
                        name="instrument_rules_positive",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("asset_type__in", ["stock", "crypto"])),
                        name="instrument_asset_type_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Watchlist",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=60)),
                ("position", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="watchlists",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="WatchlistItem",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("position", models.PositiveIntegerField(default=0)),
                (
                    "instrument",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="marketdata.instrument",
                    ),
                ),
                (
                    "watchlist",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="items",
                        to="marketdata.watchlist",
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="watchlist",
            constraint=models.UniqueConstraint(
                fields=("user", "name"), name="watchlist_name_unique"
            ),
        ),
        migrations.AddConstraint(
            model_name="watchlistitem",
            constraint=models.UniqueConstraint(
                fields=("watchlist", "instrument"), name="watchlist_item_once"
            ),
        ),
    ]
