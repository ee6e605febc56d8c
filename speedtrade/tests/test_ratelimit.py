"""The limiter: never more than the rate, whoever asks how, and stricter while Redis is away."""

import os
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory

from speedtrade.lib import ratelimit
from speedtrade.lib.ratelimit import (
    RateLimited,
    client_address,
    limit_orders,
    limited_by_address,
    rate_clear,
    rate_per_day,
    rate_take,
)
from speedtrade.lib.redis import redis_client, redis_resting
from speedtrade.testing.cast import ApiClient

RATE = "20/minute"


def granted(
    times: int, *, threads: int = 1, rate: str = RATE, who: str = "alice", over: int = 1
) -> int:
    """How many of `threads` x `times` uses get through, where the rate counts `over` times."""
    start, through = threading.Barrier(threads), []

    def use() -> None:
        start.wait()
        for _ in range(times):
            try:
                rate_take(name="test", who=who, rate=rate, times=over)
            except RateLimited:
                continue
            through.append(1)

    crowd = [threading.Thread(target=use) for _ in range(threads)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    return len(through)


@pytest.fixture(autouse=True)
def _fresh_local_count(monkeypatch: pytest.MonkeyPatch) -> None:
    ratelimit._local.cache_clear()


@pytest.fixture
def redis_away(settings) -> Iterator[None]:
    """A Redis that nobody listens for."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    ratelimit._shared.cache_clear()
    yield
    ratelimit._shared.cache_clear()


def test_fifty_threads_get_exactly_the_rate():
    assert granted(4, threads=50) == 20


def test_a_count_in_two_steps_lets_more_through(monkeypatch):
    """The guard shown: look first and count afterwards, and threads slip in between."""
    key, looked = f"{ratelimit.PREFIX}:two-steps", threading.Barrier(50)

    def hit(self, item, *identifiers, cost=1):
        free = redis_client().llen(key) < item.amount
        looked.wait()
        redis_client().rpush(key, "1")
        return free

    monkeypatch.setattr(ratelimit.MovingWindowRateLimiter, "hit", hit)
    assert granted(1, threads=50) == 50


def test_every_rate_of_a_notation_counts():
    assert granted(50, rate="30/hour;10/minute") == 10
    assert granted(50, rate="10/hour;30/minute", who="bob") == 10


def test_everybody_has_a_count_of_their_own():
    assert granted(30, who="alice") == 20
    assert granted(30, who="bob") == 20


def test_a_refusal_says_how_long_to_wait():
    granted(20)
    with pytest.raises(RateLimited) as info:
        rate_take(name="test", who="alice", rate=RATE, detail="Slowly, please.")
    assert (info.value.status, info.value.detail) == (429, "Slowly, please.")
    assert 1 <= info.value.retry_after <= 60
    assert info.value.limit == "test"


def test_a_refusal_has_words_of_its_own_and_asks_for_one_whole_second_at_least(monkeypatch):
    """Even where its time is over once it is told."""
    assert granted(1, rate="1/minute") == 1
    later = SimpleNamespace(time=lambda: time.time() + 90)
    monkeypatch.setattr(ratelimit, "time", later)
    with pytest.raises(RateLimited) as info:
        rate_take(name="test", who="alice", rate="1/minute")
    assert info.value.retry_after == 1
    assert info.value.detail == RateLimited().detail


def test_a_refusal_waits_for_the_oldest_of_its_own_uses():
    rate_take(name="test", who="alice", rate="1/minute")
    [key] = redis_client().scan_iter(f"{ratelimit.PREFIX}*")
    redis_client().lset(key, 0, str(time.time() - 40))
    with pytest.raises(RateLimited) as info:
        rate_take(name="test", who="alice", rate="1/minute")
    assert 10 <= info.value.retry_after <= 20


def test_a_day_counts_only_whole_stretches_of_a_rate():
    assert rate_per_day("7/5hour") == 28


def test_a_rate_may_count_several_times_over():
    assert granted(90, over=4) == 80
    rate_clear(name="test", who="alice", rate=RATE, times=4)
    assert granted(90, over=4) == 80


def test_the_limiter_waits_for_redis_no_longer_than_others(settings):
    options = ratelimit._shared().storage.storage.connection_pool.connection_kwargs
    seconds = settings.REDIS_TIMEOUT.total_seconds()
    assert options["socket_timeout"] == options["socket_connect_timeout"] == seconds
    assert options["retry"].get_retries() == 1


def test_what_was_refused_is_not_counted():
    """Or a client that keeps asking would never get in again."""
    rate = "2/1second"
    end = time.monotonic() + 5
    assert granted(2, rate=rate) == 2
    while not granted(1, rate=rate):
        assert time.monotonic() < end


def test_clearing_forgets_the_count_of_one():
    granted(20, who="alice")
    granted(20, who="bob")
    rate_clear(name="test", who="alice", rate=RATE)
    assert granted(30, who="alice") == 20
    assert granted(1, who="bob") == 0


def test_names_and_addresses_are_kept_as_hashes():
    granted(1, who="alice@example.com")
    keys = " ".join(redis_client().scan_iter(f"{ratelimit.PREFIX}*"))
    assert keys and "alice" not in keys


@pytest.mark.keep_redis
def test_without_redis_a_stricter_count_of_this_process_holds(redis_away):
    assert granted(4, threads=50) == 10  # RATE_FALLBACK_SHARE of 20
    rate_clear(name="test", who="alice", rate=RATE)
    assert granted(30) == 10
    assert granted(5, rate="1/minute", who="bob") == 1  # never nothing at all
    assert granted(90, who="carol", over=4) == 40
    with pytest.raises(RateLimited) as info:
        rate_take(name="test", who="carol", rate=RATE, times=4, detail="Slowly, please.")
    assert (info.value.limit, info.value.detail) == ("test", "Slowly, please.")
    assert 1 <= info.value.retry_after <= 60
    rate_clear(name="test", who="carol", rate=RATE, times=4)
    assert granted(90, who="carol", over=4) == 40


@pytest.mark.keep_redis
@pytest.mark.parametrize("ask", [rate_take, rate_clear])
def test_whoever_finds_redis_away_says_so_once(redis_away, caplog, ask):
    for _ in range(2):
        ask(name="test", who="alice", rate=RATE)
    [record] = [one for one in caplog.records if one.name == ratelimit.__name__]
    assert (record.getMessage(), record.limit) == ("limiter_without_redis", "test")
    assert redis_resting()


@pytest.mark.keep_redis
def test_without_redis_nobody_waits_for_it_twice(redis_away, monkeypatch):
    failures = []
    failed = ratelimit._redis_failed
    monkeypatch.setattr(ratelimit, "_redis_failed", lambda name: (failures.append(1), failed(name)))
    granted(10)
    assert len(failures) == 1


@pytest.mark.keep_redis
def test_when_redis_is_back_it_counts_again(redis_away, settings, monkeypatch):
    granted(1)
    assert redis_resting()
    monkeypatch.undo()
    ratelimit._shared.cache_clear()
    monkeypatch.setattr("speedtrade.lib.redis._rest_until", 0.0)
    settings.REDIS_URL = os.environ["REDIS_URL"]
    redis_client().flushdb()
    assert granted(30, who="carol") == 20


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "", "192.0.2.1"),
        (0, "203.0.113.7", "192.0.2.1"),
        (1, "203.0.113.7", "203.0.113.7"),
        (1, "6.6.6.6, 203.0.113.7", "203.0.113.7"),
        (1, "6.6.6.6,203.0.113.7", "203.0.113.7"),
        (2, "6.6.6.6, 203.0.113.7, 10.0.0.1", "203.0.113.7"),
        (2, "203.0.113.7", "192.0.2.1"),
        (1, "", "192.0.2.1"),
        (1, "no address", "192.0.2.1"),
        (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (1, "::ffff:203.0.113.7", "203.0.113.7"),
    ],
)
def test_forwarded_addresses_count_only_behind_our_proxies(settings, proxies, forwarded, address):
    settings.TRUSTED_PROXIES = proxies
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR="192.0.2.1")
    assert client_address(request) == address


def test_who_comes_from_nowhere_counts_as_one():
    request = RequestFactory().get("/")
    del request.META["REMOTE_ADDR"]
    assert client_address(request) == "unknown"


def test_a_view_counts_its_posts_by_address(settings):
    settings.RATE_RESET_PER_ADDRESS = "2/minute"

    @limited_by_address("of-the-test", "RATE_RESET_PER_ADDRESS")
    def view(request, *args, **named):
        """Words of its own."""
        return HttpResponse(f"{request.method} {args} {named}")

    def ask(method: str, address: str = "192.0.2.1") -> str:
        request = RequestFactory().generic(method, "/", REMOTE_ADDR=address)
        return view(request, 1, two=2).content.decode()

    assert view.__doc__ == "Words of its own."
    assert [ask("POST"), ask("POST")] == ["POST (1,) {'two': 2}"] * 2
    with pytest.raises(RateLimited) as info:
        ask("POST")
    assert info.value.limit == "of-the-test"
    assert ask("GET") and ask("POST", "192.0.2.2")


def test_orders_are_limited_by_user(settings):
    settings.RATE_ORDERS_PER_USER = "2/minute"
    for _ in range(2):
        limit_orders(7)
    with pytest.raises(RateLimited) as info:
        limit_orders(7)
    assert info.value.limit == "orders"
    limit_orders(8)


def test_a_forged_header_does_not_change_who_is_counted(db, client, settings):
    settings.RATE_LOGIN_PER_ADDRESS = "3/minute"
    answers = [
        client.post(
            "/api/v1/auth/login", {}, "application/json", headers={"X-Forwarded-For": f"10.0.0.{n}"}
        )
        for n in range(4)
    ]
    assert [answer.status_code for answer in answers] == [400, 400, 400, 429]


def test_api_calls_are_limited_by_user_with_a_wait(db, alice, charlie, settings):
    settings.RATE_API_PER_USER = "3/minute"
    script = ApiClient(user=alice)
    assert [script.get("auth/me").status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = script.get("auth/me")
    assert refused.json()["code"] == "rate_limited" and int(refused.headers["Retry-After"]) > 2
    assert ApiClient(user=charlie).get("auth/me").status_code == 200


def test_strangers_at_the_api_are_limited_by_address(db, settings):
    """Fails where all of them are one: whoever asks often would shut out the others."""
    settings.RATE_API_PER_USER = "2/minute"
    paths = ["192.0.2.1"] * 3 + ["192.0.2.2"]
    answers = [Client(REMOTE_ADDR=one).post("/api/v1/auth/login").status_code for one in paths]
    assert [answer == 429 for answer in answers] == [False, False, True, False]


def test_who_comes_without_a_key_is_not_limited_by_one(db, alice, settings):
    settings.RATE_API_PER_KEY = "1/minute"
    script = ApiClient(user=alice)
    assert [script.get("auth/me").status_code for _ in range(3)] == [200] * 3
