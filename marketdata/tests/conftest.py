"""What several test modules of this app need."""

from collections.abc import Iterator

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


@pytest.fixture
def redis_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A client whose server does not answer: nothing listens on port 1."""
    nobody = redis.Redis(port=1, socket_timeout=1, retry=Retry(NoBackoff(), 0))
    monkeypatch.setattr("marketdata.quote_store.redis_client", lambda: nobody)
    yield
    nobody.close()


@pytest.fixture
def user(db):
    """Somebody, without an account to trade in: the market asks for none."""
    from accounts.models import User

    return User.objects.create_user("alice", "alice@example.com", "correct-horse-9-battery")


@pytest.fixture
def api(user):
    """A script of `user`."""
    from speedtrade.testing.cast import ApiClient

    return ApiClient(user)
