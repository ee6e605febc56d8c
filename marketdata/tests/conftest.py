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
