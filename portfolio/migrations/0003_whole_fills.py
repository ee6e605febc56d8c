"""A fill in the journal has every figure: a CHECK lets NULL pass unless it is named."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("portfolio", "0002_promises")]

    operations = [
        migrations.RemoveConstraint("journalentry", "journal_fill_is_whole"),
        migrations.AddConstraint(
            "journalentry",
            models.CheckConstraint(
                condition=~Q(kind="fill")
                | Q(
                    side__in=["buy", "sell"],
                    qty__isnull=False,
                    qty__gt=0,
                    price__isnull=False,
                    price__gt=0,
                    notional__isnull=False,
                    notional__gte=0,
                    fee__gte=0,
                    instrument__isnull=False,
                ),
                name="journal_fill_is_whole",
            ),
        ),
    ]
