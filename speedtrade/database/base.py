"""PostgreSQL, where a connection that was in use a moment ago is looked at and not asked.

Before the first statement of each request Django asks a connection that it kept whether it still
works (CONN_HEALTH_CHECKS): a round trip in each order. The end of a server or of a session comes to
our end of the line by itself, so where nothing lies there unread the connection is as good as it
was. After a pause Django asks as ever, for a line may also die without a word.
"""

import select
import time
from typing import Any

from django.conf import settings
from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's own but for `is_usable`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._last_asked = 0.0  # time.monotonic()

    def is_usable(self) -> bool:
        """As Django's, which asks; where nothing went wrong lately, a look will do."""
        now = time.monotonic()
        lately = now - self._last_asked < settings.DATABASE_TRUSTED.total_seconds()
        self._last_asked = now
        if lately and not self.errors_occurred and self._silent():
            return True
        return bool(super().is_usable())

    def get_new_connection(self, conn_params: Any) -> Any:
        self._last_asked = time.monotonic()  # one that was just made answers
        return super().get_new_connection(conn_params)

    def _silent(self) -> bool:
        """Whether nothing has come that nobody asked for: a farewell, the end of the line."""
        if self.connection is None or self.connection.closed:
            return False
        look = select.poll()
        look.register(self.connection.fileno(), select.POLLIN)
        return not look.poll(0)
