"""An order has a quantity or an amount: a CHECK lets NULL pass unless it is named."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("trading", "0002_promises")]

    operations = [
        migrations.RemoveConstraint("order", "order_qty_xor_notional"),
        migrations.AddConstraint(
            "order",
            models.CheckConstraint(
                condition=Q(qty__isnull=False, qty__gt=0, notional__isnull=True)
                | Q(qty__isnull=True, notional__isnull=False, notional__gt=0),
                name="order_qty_xor_notional",
            ),
        ),
    ]
