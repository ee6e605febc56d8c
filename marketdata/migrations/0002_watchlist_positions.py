"""Watchlists and their items are numbered 0, 1, 2, …, and the database keeps the numbers apart."""

from django.db import migrations, models

NUMBER = """
UPDATE marketdata_{table} AS row SET position = counted.place
FROM (
    SELECT id, row_number() OVER (PARTITION BY {whose} ORDER BY position, id) - 1 AS place
    FROM marketdata_{table}
) AS counted
WHERE counted.id = row.id AND row.position <> counted.place
"""


class Migration(migrations.Migration):
    dependencies = [("marketdata", "0001_initial")]

    operations = [
        migrations.RunSQL(
            NUMBER.format(table="watchlist", whose="user_id"), migrations.RunSQL.noop
        ),
        migrations.RunSQL(
            NUMBER.format(table="watchlistitem", whose="watchlist_id"), migrations.RunSQL.noop
        ),
        migrations.AddConstraint(
            model_name="watchlist",
            constraint=models.UniqueConstraint(
                deferrable=models.Deferrable["DEFERRED"],
                fields=("user", "position"),
                name="watchlist_position_unique",
            ),
        ),
        migrations.AddConstraint(
            model_name="watchlistitem",
            constraint=models.UniqueConstraint(
                deferrable=models.Deferrable["DEFERRED"],
                fields=("watchlist", "position"),
                name="watchlist_item_position_unique",
            ),
        ),
    ]
