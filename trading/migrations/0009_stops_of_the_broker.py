from django.db import migrations

import speedtrade.lib.fields


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0008_a_refused_key"),
    ]

    operations = [
        migrations.AddField(
            model_name="order",
            name=name,
            field=speedtrade.lib.fields.PriceField(decimal_places=10, max_digits=20, null=True),
        )
        for name in ("stop_price", "trail_price", "trail_percent")
    ]
