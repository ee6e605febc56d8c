"""The address that is told of everything until a new one is verified."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0014_letters"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="email_former",
            field=models.EmailField(
                blank=True,
                db_default="",
                default="",
                editable=False,
                max_length=254,
                verbose_name="former e-mail",
            ),
        ),
    ]
