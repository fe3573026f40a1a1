"""Limits of requests: what is counted, for whom, and what the client is told."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from myapp import create_app
from myapp.core.errors import ConfigError
from myapp.core.http.app import App
from myapp.core.stores.redis.client import redis_store
from myapp.core.stores.redis.rate import Limiter, Rate, parse_rate
from myapp.core.stores.sql.fixture import make_database
from myapp.core.stores.store import close_stores
from myapp.core.testing import Client
from myapp.core.testing.planted import NOTES, plant

LONG = 10**6


@pytest.fixture
def limited(redis_url: str, tmp_path: Path) -> Iterator[Any]:
    """A client of an application that takes 3 requests, and 2 of a feature."""
    limits = {"*": f"3/{LONG}", "planted": f"2/{LONG}"}
    database = make_database("sqlite", tmp_path)
    app = create_app(
        {
            "SQLALCHEMY_DATABASE_URI": database,
            "REDIS_URL": redis_url,
            "RATE_LIMITS": limits,
        }
    )
    app.test_client_class = Client
    with app.app_context():
        redis_store.flushdb()
    plant(app)
    yield app.test_client()
    close_stores(app)


def test_a_client_is_told_what_is_left_and_when_to_come_back(limited: Client) -> None:
    for left in (2, 1, 0):
        headers = limited.get("/schemas/problem.json").headers
        assert headers["RateLimit-Policy"] == f'"default";q=3;w={LONG}'
        assert headers["RateLimit"].startswith(f'"default";r={left};t=')
    refused = limited.get("/schemas/problem.json", expect=429)
    assert refused.json["type"] == "/problems/too-many-requests"
    assert 0 < int(refused.headers["Retry-After"]) <= LONG // 3 + 1
    assert refused.headers["RateLimit"].startswith('"default";r=0;t=')


def test_a_feature_and_an_address_have_limits_of_their_own(limited: Client) -> None:
    for _ in range(2):
        limited.get(NOTES)
    limited.get(NOTES, expect=429)
    limited.get("/schemas/problem.json")
    there = {"REMOTE_ADDR": "192.0.2.1"}
    limited.get(NOTES, environ_overrides=there)
    forged = {"X-Forwarded-For": "192.0.2.7"}
    limited.get(NOTES, headers=forged, expect=429)


def test_health_is_not_counted_and_an_unknown_url_is(limited: Client) -> None:
    for _ in range(5):
        limited.get("/health/live")
    for _ in range(3):
        limited.get("/nowhere", expect=404)
    limited.get("/nowhere", expect=429)


def test_of_many_at_once_exactly_the_limit_pass(limited: Any) -> None:
    app: App = limited.application
    limiter, rate = Limiter("test"), Rate(100, LONG)

    def take(_number: int) -> bool:
        with app.app_context():
            return limiter.take({"one": rate}).refused < 0

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(200))) == 100
    with app.app_context():
        limiter.give_back({"one": rate})
        assert [take(0), take(0)] == [True, False]


def test_one_limit_that_refuses_counts_nothing_in_the_others(limited: Any) -> None:
    limiter, few, many = Limiter("test-2"), Rate(1, LONG), Rate(3, LONG)
    with limited.application.app_context():
        assert limiter.take({"few": few}).refused == -1
        for _ in range(3):
            assert limiter.take({"many": many, "few": few}).refused == 1
        assert limiter.take({"many": many}).left == 2


def test_no_limit_costs_no_call(client: Client) -> None:
    response = client.get("/schemas/problem.json")
    assert "RateLimit" not in response.headers
    assert FlaskClient.open(client, "/nowhere").status_code == 404


@pytest.mark.parametrize("text", ["", "10", "10/0", "0/10", "x/1", "10/300 ", "-1/1"])
def test_text_that_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no rate"):
        parse_rate(text)
    with pytest.raises(ConfigError, match="RATE_LIMITS"):
        create_app({"RATE_LIMITS": {"*": text}})
