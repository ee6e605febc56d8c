"""A chain of hashes over the audit; what stands there already is sealed by the first beats."""

import django.db.models.deletion
from django.db import migrations, models

from speedtrade.lib.triggers import append_only


class Migration(migrations.Migration):
    dependencies = [("accounts", "0012_second_factors")]

    operations = [
        migrations.CreateModel(
            name="AuditSeal",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("previous", models.CharField(max_length=64, unique=True)),
                ("digest", models.CharField(max_length=64)),
                (
                    "event",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="seal",
                        to="accounts.auditevent",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("digest__regex", "^[0-9a-f]{64}$")),
                        name="audit_seal_is_a_digest",
                    )
                ],
            },
        ),
        migrations.RunSQL(*append_only("accounts_auditseal")),
    ]
