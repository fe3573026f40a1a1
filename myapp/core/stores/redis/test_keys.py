"""Small things in Redis: what they hold, that they expire, and that calls at once do
not disturb each other."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis.lock import Lock

from myapp.core.errors.problem import Problem
from myapp.core.http.app import App
from myapp.core.stores.redis import RedisKeys, redis_store
from myapp.core.testing.server import eventually

KEYS, OTHER = RedisKeys("carts"), RedisKeys("catalog")
THREADS = 8


def at_once(app: App, function: Callable[[int], Any], times: int) -> list[Any]:
    """What calls of a function return that threads make at once."""

    def call(number: int) -> Any:
        with app.app_context():
            return function(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(call, range(times)))


@pytest.fixture(autouse=True)
def context(app: App) -> Any:
    with app.app_context():
        yield


@pytest.mark.parametrize(
    "value", [None, 0, "", "ü \x00", [1, {"a": None}], 1.5, True, 2**60]
)
def test_a_value_of_redis_comes_back(value: Any) -> None:
    KEYS.set("one", value)
    assert KEYS.get("one", "default") == value


def test_a_value_of_redis_is_json_and_belongs_to_its_feature() -> None:
    KEYS.set("one", {"a": 1})
    OTHER.set("one", 2)
    assert KEYS.get("one") == {"a": 1}
    assert redis_store.get("{carts:keys}:one") == b'{"a":1}'
    assert KEYS.delete("one") and not KEYS.delete("one")
    assert KEYS.get("one", 5) == 5 and OTHER.get("one") == 2
    with pytest.raises(TypeError):
        KEYS.set("one", object())


def test_a_value_of_redis_expires() -> None:
    KEYS.set("one", 1, seconds=0.05)
    assert KEYS.get("one") == 1
    eventually(lambda: KEYS.get("one") is None)
    KEYS.set("one", 1, seconds=60)
    KEYS.set("one", 2)
    assert redis_store.pttl("{carts:keys}:one") == -1
    for wrong in (0, -1):
        with pytest.raises(ValueError):
            KEYS.set("one", 1, seconds=wrong)


def test_of_writers_of_redis_at_once_each_gets_the_value_of_another(app: App) -> None:
    assert KEYS.get_and_set("turn", "first", seconds=60) is None
    found = at_once(app, lambda number: KEYS.get_and_set("turn", number), 200)
    assert Counter([*found, KEYS.get("turn")]) == Counter(["first", *range(200)])


def test_a_list_of_redis_keeps_the_newest() -> None:
    assert [KEYS.push("recent", number, most=3) for number in range(5)] == [
        1,
        2,
        3,
        3,
        3,
    ]
    assert KEYS.items("recent") == [4, 3, 2]
    assert KEYS.items("recent", most=2) == [4, 3]
    assert KEYS.items("recent", most=0) == KEYS.items("nothing") == []
    KEYS.push("recent", {"a": 1}, most=3, seconds=0.05)
    eventually(lambda: KEYS.items("recent") == [])


def test_a_list_of_redis_is_never_longer_than_it_may_be(app: App) -> None:
    lengths = at_once(app, lambda number: KEYS.push("recent", number, most=5), 100)
    assert max(lengths) == 5 and len(KEYS.items("recent")) == 5


def test_a_counter_of_redis_loses_nothing_and_begins_again(app: App) -> None:
    found = at_once(app, lambda _: KEYS.count("visits", by=2), 200)
    assert sorted(found) == list(range(2, 402, 2))
    assert KEYS.count("visits", by=-400) == 0
    KEYS.count("minute", seconds=0.2)
    started = time.monotonic()
    # Counting does not make the span longer.
    eventually(lambda: KEYS.count("minute", seconds=0.2) == 1)
    assert time.monotonic() - started < 5


def test_a_lock_of_redis_lets_one_in_at_a_time(app: App) -> None:
    inside: list[int] = []

    def work(number: int) -> int:
        with KEYS.lock("report", seconds=30, wait=30):
            inside.append(number)
            time.sleep(0.001)
            most = len(inside)
            inside.remove(number)
        return most

    assert set(at_once(app, work, 40)) == {1}


def test_a_lock_of_redis_that_is_taken_is_409() -> None:
    with KEYS.lock("report", seconds=30):
        with pytest.raises(Problem) as refused, KEYS.lock("report", seconds=30):
            pass
        assert refused.value.slug == "conflict"
        with pytest.raises(Problem), KEYS.lock("report", seconds=30, wait=0.1):
            pass
        with OTHER.lock("report", seconds=30):
            pass
    with KEYS.lock("report", seconds=30):
        pass


def test_a_lock_of_redis_is_free_after_an_error_and_after_its_time() -> None:
    with pytest.raises(LookupError), KEYS.lock("report", seconds=30):
        raise LookupError
    lost = KEYS.lock("report", seconds=0.1)
    with pytest.raises(Problem) as told, lost:
        # The holder hangs; another one takes the lock, and keeps it afterwards.
        with KEYS.lock("report", seconds=30, wait=30) as second:
            assert isinstance(second, Lock)
            redis_store.ping()
            second.extend(30)
            held = redis_store.get("{carts:keys}:report")
    assert told.value.slug == "unavailable"
    assert held is not None and redis_store.get("{carts:keys}:report") is None
