"""One holder at a time, and nobody waits for one who has let go."""

import pytest

from speedtrade.lib.lease import Lease

pytestmark = pytest.mark.django_db


def test_one_holds_it_at_a_time() -> None:
    with Lease("venue") as one, Lease("venue") as other, Lease("feed") as feed:
        assert one.take() and feed.take()
        assert not other.take()
        one.release()
        assert other.take() and other.held() and not one.held()


def test_what_was_let_go_is_free_at_once() -> None:
    """Fails where the session is only closed: the server frees what it held a moment later."""
    for turn in range(200):
        with Lease("sync:7") as lease, Lease("sync:7") as waiting:
            assert lease.take()
            assert not waiting.take()
            lease.release()
            assert waiting.take(), turn
