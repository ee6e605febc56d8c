"""What support did cannot be undone by a slip of code: the database refuses it."""

from django.db import migrations

from speedtrade.lib.triggers import append_only


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [migrations.RunSQL(*append_only("accounts_auditevent"))]
