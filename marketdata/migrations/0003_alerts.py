"""Price alerts, and the append-only log of what they said."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import speedtrade.lib.fields
from speedtrade.lib.triggers import append_only


class Migration(migrations.Migration):
    dependencies = [
        ("marketdata", "0002_watchlist_positions"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Alert",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "direction",
                    models.CharField(
                        choices=[("above", "above"), ("below", "below")], max_length=8
                    ),
                ),
                ("price", speedtrade.lib.fields.PriceField(decimal_places=10, max_digits=20)),
                (
                    "repeat",
                    models.CharField(choices=[("once", "once"), ("every", "every")], max_length=8),
                ),
                ("note", models.CharField(blank=True, default="", max_length=80)),
                (
                    "state",
                    models.CharField(
                        choices=[("waiting", "waiting"), ("fired", "fired"), ("off", "off")],
                        default="waiting",
                        max_length=8,
                    ),
                ),
                ("seen_at", models.DateTimeField()),
                ("fired_at", models.DateTimeField(blank=True, null=True)),
                (
                    "fired_price",
                    speedtrade.lib.fields.PriceField(
                        blank=True, decimal_places=10, max_digits=20, null=True
                    ),
                ),
                ("created_at", models.DateTimeField()),
                (
                    "instrument",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="marketdata.instrument",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="alerts",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(
                            ("state", "waiting"),
                            models.Q(("repeat", "every"), ("state", "fired")),
                            _connector="OR",
                        ),
                        fields=["instrument"],
                        name="alert_watched",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("user", "instrument", "direction", "price"), name="alert_level_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("direction__in", ["above", "below"])),
                        name="alert_direction",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("repeat__in", ["once", "every"])), name="alert_repeat"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["waiting", "fired", "off"])),
                        name="alert_state",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("price__gt", 0)), name="alert_price_positive"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("fired_at__isnull", True), ("fired_price__isnull", True)),
                            models.Q(
                                ("fired_at__isnull", False),
                                ("fired_price__gt", 0),
                                ("fired_price__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="alert_fired_whole",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "fired"), _negated=True),
                            ("fired_at__isnull", False),
                            _connector="OR",
                        ),
                        name="alert_fired_when",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="AlertFiring",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("alert_number", models.BigIntegerField()),
                ("direction", models.CharField(max_length=8)),
                ("level", speedtrade.lib.fields.PriceField(decimal_places=10, max_digits=20)),
                ("note", models.CharField(blank=True, default="", max_length=80)),
                ("price", speedtrade.lib.fields.PriceField(decimal_places=10, max_digits=20)),
                ("quote_at", models.DateTimeField()),
                ("at", models.DateTimeField()),
                (
                    "instrument",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="marketdata.instrument",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["user", "-at", "-id"], name="alert_firing_newest")
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("direction__in", ["above", "below"])),
                        name="alert_firing_direction",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("direction", "above"), ("price__gt", models.F("level"))),
                            models.Q(("direction", "below"), ("price__lt", models.F("level"))),
                            _connector="OR",
                        ),
                        name="alert_firing_beyond",
                    ),
                    models.UniqueConstraint(
                        fields=("alert_number", "quote_at"), name="alert_firing_once_a_quote"
                    ),
                ],
            },
        ),
        migrations.RunSQL(*append_only("marketdata_alertfiring")),
    ]
