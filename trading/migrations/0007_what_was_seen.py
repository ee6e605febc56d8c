from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("trading", "0006_parked_tasks")]

    operations = [
        migrations.AddField(
            model_name="brokerlink",
            name="seen",
            field=models.JSONField(
                db_default={},
                default=dict,
                help_text="What of each order is in the opening balance: see"
                " services/beginnings.py.",
            ),
        ),
        migrations.AddField(
            model_name="brokerlink",
            name="clock_offset",
            field=models.DurationField(
                help_text="The broker's clock less ours, at the least, when last asked.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="brokerlink",
            name="clock_at",
            field=models.DateTimeField(null=True),
        ),
    ]
