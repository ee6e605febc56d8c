"""Sessions that end when nobody is there: Django's own, whose end in the database moves.

The end is the column `expire_date`, which all that asks for a session reads already: pages, sockets
and the list in the settings. Saving what is in a session leaves it alone; `accounts/idle.py` moves
it. SESSION_ENGINE names this module.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts.models import User
from accounts.selectors import trades_live
from accounts.services.devices import session_follow

ENTERED_AT = "entered_at"  # when its person logged in, in the session
IDLE, IDLE_LIVE, AGE = "idle", "idle-live", "age"  # why a session ended by itself


def age_ends(entered: float) -> datetime:
    """The last moment of a session that began then, however busy its person is."""
    return datetime.fromtimestamp(entered, UTC) + timedelta(seconds=settings.SESSION_COOKIE_AGE)


class SessionStore(db.SessionStore):
    """Knows when its row ends, and why one that the browser still names has ended."""

    ends_at: datetime | None = None  # as the row had it; None of what is not in the database yet
    _found: datetime | None = None  # the same, until another end is given to `ends_at`
    _over: Session | None = None

    def _get_session_from_db(self) -> Session | None:
        row: Session | None = Session.objects.filter(session_key=self.session_key).first()
        if row is not None and row.expire_date > timezone.now():
            self.ends_at = self._found = row.expire_date
            return row
        self._over, self._session_key = row, None
        return None

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        row = super().create_model_instance(data)
        row.expire_date = self.ends_at or row.expire_date
        return row

    def save(self, must_create: bool = False) -> None:
        """What is in it, and its end only where one was given: others may have moved it."""
        if must_create or self.session_key is None or self.ends_at != self._found:
            super().save(must_create)
            self._found = self.ends_at
            return
        data = self.encode(self._get_session())  # type: ignore[attr-defined]
        rows = Session.objects.filter(session_key=self.session_key)
        if not rows.update(session_data=data):
            raise UpdateError

    def cycle_key(self) -> None:
        """Another key for the same session, under which its person's list goes on to know it.

        Django does so by itself where a session is of the former SECRET_KEY.
        """
        old = self.session_key
        super().cycle_key()
        user = User.objects.filter(pk=self[SESSION_KEY]).first() if SESSION_KEY in self else None
        if user is not None and old:
            session_follow(user=user, old=old, new=self.session_key or "", now=timezone.now())

    def flush(self) -> None:
        super().flush()
        self.ends_at = None

    @property
    def ended(self) -> str:
        """Why the session that this browser came with is over; "" where it did not end by itself.

        One that was ended by hand has no row any more.
        """
        if self._over is None:
            return ""
        kept = self._over.get_decoded()
        if SESSION_KEY not in kept:
            return ""
        entered = kept.get(ENTERED_AT)
        if entered is None:  # of before there was such an end
            return ""
        if self._over.expire_date >= age_ends(entered):
            return AGE
        return IDLE_LIVE if trades_live(int(kept[SESSION_KEY])) else IDLE
