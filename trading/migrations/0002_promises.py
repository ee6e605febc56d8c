"""What only the database can promise: what happened to an order is never rewritten."""

from django.db import migrations

from speedtrade.lib.triggers import append_only


class Migration(migrations.Migration):
    dependencies = [("trading", "0001_initial")]

    operations = [
        migrations.RunSQL(*append_only("trading_fill")),
        migrations.RunSQL(*append_only("trading_orderevent")),
        migrations.RunSQL(*append_only("trading_paperfill")),
    ]
