"""The line that each request writes, and the headers that each response carries."""

import io
import json
import logging
import re
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask import request
from flask.testing import FlaskClient
from flask_migrate import upgrade

from default_config import DevelopmentConfig
from myapp import create_app
from myapp.core.access import public
from myapp.core.errors.startup import ConfigError
from myapp.core.http.logs import JSONFormatter, TextFormatter
from myapp.core.stores.sql.engine import sql
from myapp.core.stores.store import close_stores
from myapp.core.testing import Client, ToyAuthenticator, by, calling

CANARY = "s3cr3t-canary"
PAGE = {"Accept": "text/html"}
ORIGIN = "https://app.example"
# JSON escapes the ASCII ones, RFC 8259 section 7; the text format writes none.
ESCAPES = re.compile(r"[\x00-\x09\x0b-\x1f]")
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
Site = Callable[..., Client]


@pytest.fixture
def site(
    monkeypatch: pytest.MonkeyPatch, redis_url: str, tmp_path: Path
) -> Iterator[Site]:
    """A function that builds an application from settings and returns its client."""
    monkeypatch.setenv("MYAPP_INSTANCE_PATH", str(tmp_path))
    logger, root = logging.getLogger("myapp"), logging.getLogger()
    level, handlers, built = logger.level, root.handlers[:], []
    database = f"sqlite:///{tmp_path / 'test.db'}"

    def build(**settings: Any) -> Client:
        stores = {"SQLALCHEMY_DATABASE_URI": database, "REDIS_URL": redis_url}
        usual = {"LOG_LEVEL": "INFO", "ENABLED_FEATURES": "catalog"}
        app = create_app({**stores, **usual, **settings})
        app.add_url_rule("/fails", view_func=public(fail))
        app.test_client_class = Client
        built.append(app)
        client = app.test_client()
        assert isinstance(client, Client)
        return client

    yield build
    logger.setLevel(level)
    root.handlers[:] = handlers
    for app in built:
        close_stores(app)


def fail() -> None:
    """A view function with a bug; its error has a secret and an escape sequence."""
    raise LookupError(f"\x1b[2Jredis://app:{CANARY}@db \x9b31m")


@pytest.fixture(params=[JSONFormatter, TextFormatter], ids=["json", "text"])
def formatter(request: pytest.FixtureRequest) -> logging.Formatter:
    """Each log format."""
    made = request.param()
    assert isinstance(made, logging.Formatter)
    return made


@pytest.fixture
def written(formatter: logging.Formatter) -> Iterator[io.StringIO]:
    """The log output in one format."""
    logger, stream = logging.getLogger("myapp"), io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


as_json = pytest.mark.parametrize("formatter", [JSONFormatter()], ids=["json"])
as_text = pytest.mark.parametrize("formatter", [TextFormatter()], ids=["text"])


@as_json
def test_a_request_writes_one_line_that_says_how_it_went(
    site: Site, written: io.StringIO
) -> None:
    response = site().get("/health/ready", headers={"X-Request-ID": "from-the-client"})
    (line,) = map(json.loads, written.getvalue().splitlines())
    assert line["level"] == "INFO"
    assert line["request_id"] == response.headers["X-Request-ID"] == "from-the-client"
    assert (line["method"], line["path"]) == ("GET", "/health/ready")
    assert (line["route"], line["status"]) == ("/health/ready", 200)
    assert line["message"] == "GET /health/ready 200"
    assert line["sql"] == 3
    assert 0 < line["duration_ms"] < 60_000
    assert line["time"].endswith("Z")


@as_json
def test_the_route_is_the_pattern_and_nothing_where_there_is_none(
    site: Site, written: io.StringIO
) -> None:
    client = site()
    client.get("/problems/conflict")
    client.get("/nothing-here", expect=404)
    lines = list(map(json.loads, written.getvalue().splitlines()))
    assert [line["route"] for line in lines] == ["/problems/<slug>", None]
    assert [line["status"] for line in lines] == [200, 404]
    assert [line["sql"] for line in lines] == [0, 0]


TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@as_json
@pytest.mark.parametrize(
    "sent, is_taken",
    [
        (f"00-{TRACE}-{PARENT}-01", True),
        (f"00-{TRACE}-{PARENT}-00", True),
        (f"01-{TRACE}-{PARENT}-01-what-comes-later", True),
        (f"00-{TRACE}-{PARENT}-01-more", False),
        (f"01-{TRACE}-{PARENT}-01more", False),
        (f"ff-{TRACE}-{PARENT}-01", False),
        (f"00-{'0' * 32}-{PARENT}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{PARENT}-01", False),
        (f"00-{TRACE}-{PARENT}", False),
        ("", False),
    ],
)
def test_the_trace_of_the_client_is_logged(
    site: Site, written: io.StringIO, sent: str, is_taken: bool
) -> None:
    site().get("/health/live", headers={"traceparent": sent})
    line = json.loads(written.getvalue())
    wanted = (TRACE, PARENT) if is_taken else (None, None)
    assert (line.get("trace_id"), line.get("parent_id")) == wanted


@as_text
def test_a_line_undescribed_says_how_it_went(site: Site, written: io.StringIO) -> None:
    site().get("/health/ready")
    line = r"\d\d:\d\d:\d\d INFO +GET /health/ready 200  [\d.]+ ms, 3 SQL"
    line += r"  from 127\.0\.0\.1\n"
    assert re.fullmatch(line, written.getvalue())


def test_requests_are_not_logged_below_their_level(
    site: Site, written: io.StringIO
) -> None:
    site(LOG_LEVEL="WARNING").get("/health/live")
    assert written.getvalue() == ""


@as_json
def test_a_slow_request_is_a_warning(site: Site, written: io.StringIO) -> None:
    site(LOG_LEVEL="WARNING", SLOW_REQUEST_SECONDS=0).get("/health/live")
    assert json.loads(written.getvalue())["level"] == "WARNING"


@pytest.mark.parametrize("char", list("\n\r\t\x1b\x07\x7f\x85\x9b"), ids=repr)
def test_a_path_cannot_make_a_second_line_or_move_the_cursor(
    site: Site, written: io.StringIO, char: str
) -> None:
    site().get(f"/a{quote(char)}GET /forged 200", expect=404)
    text = written.getvalue()
    assert text.count("\n") == 1 and text.endswith("\n")
    if text.startswith("{"):
        assert json.loads(text)["path"] == f"/a{char}GET /forged 200"
        assert not ESCAPES.search(text)
    else:
        assert "GET /forged 200" in text and not CONTROL.search(text)


@pytest.mark.parametrize(
    "text",
    [
        f"connect with password={CANARY}",
        f"PASSWORD: {CANARY}",
        f"db_password='{CANARY}'",
        f"Authorization: Bearer {CANARY}",
        f"{{'Authorization': 'Basic {CANARY}'}}",
        f'{{"token": "{CANARY}", "id": 1}}',
        f'{{"client_secret":"two {CANARY}"}}',
        f"Cookie: theme=dark; session={CANARY}",
        f"?api_key={CANARY}&page=2",
        f"redis://:{CANARY}@127.0.0.1:6379/0",
        f"postgresql+psycopg://app:{CANARY}@db/myapp",
    ],
)
def test_secrets_are_masked(site: Site, written: io.StringIO, text: str) -> None:
    site()
    logging.getLogger("myapp.test").warning("before %s", text)
    assert "before" in written.getvalue() and "***" in written.getvalue()
    assert CANARY not in written.getvalue()


def test_a_secret_in_the_path_is_masked(site: Site, written: io.StringIO) -> None:
    site().get(f"/reset/token={CANARY}", expect=404)
    assert "/reset/" in written.getvalue()
    assert CANARY not in written.getvalue()


def test_a_bug_is_logged_with_its_trace_and_told_as_a_request_id(
    site: Site, written: io.StringIO
) -> None:
    client = site(PROPAGATE_EXCEPTIONS=False)
    response = client.get("/fails", expect=500)
    text = written.getvalue()
    assert "LookupError" in text and "in fail" in text
    assert CANARY not in text
    assert "LookupError" not in response.text and CANARY not in response.text
    assert response.json["request_id"] == response.headers["X-Request-ID"]
    assert not (ESCAPES if text.startswith("{") else CONTROL).search(text)
    if text.startswith("{"):
        lines = list(map(json.loads, text.splitlines()))
        ids = {line["request_id"] for line in lines}
        assert ids == {response.headers["X-Request-ID"]}
        assert [line.get("status") for line in lines] == [None, 500]


@pytest.mark.parametrize("sent", ["a", "7f3c-11.b:C_9", "x" * 128])
def test_a_sane_request_id_is_taken(site: Site, sent: str) -> None:
    client, headers = site(), {"X-Request-ID": sent}
    assert client.get("/", headers=headers).headers["X-Request-ID"] == sent
    problem = client.get("/nothing-here", headers=headers, expect=404)
    assert problem.headers["X-Request-ID"] == problem.json["request_id"] == sent


@pytest.mark.parametrize(
    "sent",
    ["", "x" * 129, "a b", "a\r\nSet-Cookie: b=c", "a\n", "é", "a\x00", "<a>", "٣"],
    ids=ascii,
)
def test_another_request_id_is_replaced_by_one_that_is_new(
    site: Site, sent: str
) -> None:
    client, environ = site(), {"HTTP_X_REQUEST_ID": sent}
    problems = [
        client.get("/nothing-here", environ_overrides=environ, expect=404)
        for _ in range(2)
    ]
    made = {problem.headers["X-Request-ID"] for problem in problems}
    assert len(made) == 2
    assert made == {problem.json["request_id"] for problem in problems}
    assert all(re.fullmatch(r"[0-9a-f-]{36}", one) for one in made)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 200),
        ("/nothing-here", {}, 404),
        ("/fails", {}, 500),
        ("/", PAGE, 200),
        ("/problems/conflict", PAGE, 200),
    ],
)
def test_every_response_carries_the_security_headers(
    site: Site, path: str, headers: dict[str, str], status: int
) -> None:
    client = site(PROPAGATE_EXCEPTIONS=False)
    response = client.get(path, headers=headers, expect=status)
    sent = response.headers
    assert sent["X-Content-Type-Options"] == "nosniff"
    assert sent["X-Frame-Options"] == "DENY"
    assert sent["Referrer-Policy"] == "no-referrer"
    assert sent["Cache-Control"] == "no-cache"
    own = client.get(path, headers={**headers, "Authorization": "x"}, expect=status)
    assert own.headers["Cache-Control"] == "private, no-cache"
    policy = sent["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert ("script-src 'self'" in policy) == (response.mimetype == "text/html")
    assert (response.mimetype == "text/html") == bool(headers)


@pytest.mark.parametrize("path", ["/", "/nothing-here"])
def test_transport_security_is_asked_for_under_https_alone(
    site: Site, path: str
) -> None:
    client, status = site(), 200 if path == "/" else 404
    name = "Strict-Transport-Security"
    assert name not in client.get(path, expect=status).headers
    secure = client.get(path, base_url="https://localhost", expect=status).headers
    assert re.match(r"max-age=\d{8}", secure[name])


FORWARDED = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Host": "evil.example",
}


@pytest.mark.parametrize("proxies", [0, 1])
def test_what_a_proxy_forwards_is_believed_where_there_is_one(
    site: Site, proxies: int
) -> None:
    client = site(TRUSTED_PROXIES=proxies)
    seen: list[str] = []
    client.application.after_request(
        lambda response: seen.append(request.remote_addr or "") or response
    )
    response = client.get("/", headers=FORWARDED)
    is_secure = "Strict-Transport-Security" in response.headers
    assert is_secure is bool(proxies)
    assert seen == ["203.0.113.9" if proxies else "127.0.0.1"]
    # A client that adds a value of its own does not get it through the one proxy.
    more = {**FORWARDED, "X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
    client.get("/", headers=more)
    assert seen[-1] == seen[0]
    if not proxies:
        # As uWSGI reads it.
        believed = {"wsgi.url_scheme": "https"}
        sent = client.get("/", headers=FORWARDED, environ_overrides=believed).headers
        assert "Strict-Transport-Security" not in sent


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/nothing-here", 404)])
def test_each_response_names_its_release(site: Site, path: str, status: int) -> None:
    assert "X-Release" not in site().get(path, expect=status).headers
    client = site(RELEASE="20261126-1200-a1b2c3d")
    response = client.get(path, expect=status)
    assert response.headers["X-Release"] == "20261126-1200-a1b2c3d"
    printed = client.application.test_cli_runner().invoke(args=["version"])
    assert printed.output == "20261126-1200-a1b2c3d\n"


def test_a_release_is_a_name(site: Site) -> None:
    with pytest.raises(ConfigError, match="RELEASE takes"):
        site(RELEASE="one\r\nSet-Cookie: a=b")


def allowed(client: Client, origin: str, method: str, path: str) -> dict[str, str]:
    """The CORS headers of the response to a browser."""
    headers = {"Origin": origin}
    if method == "OPTIONS":
        headers["Access-Control-Request-Method"] = "PATCH"
        headers["Access-Control-Request-Headers"] = "If-Match"
    status = 404 if "nothing" in path else 204 if method == "OPTIONS" else 200
    response = client.open(path, method=method, headers=headers, expect=status)
    sent = response.headers.items()
    return {name: value for name, value in sent if name.startswith("Access-Control-")}


requests = pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/health/live"), ("GET", "/nothing-here"), ("OPTIONS", "/health/live")],
)


@requests
def test_production_lets_no_other_origin_in(site: Site, method: str, path: str) -> None:
    client = site(ENV="production", SECRET_KEY=string.ascii_letters)
    assert allowed(client, ORIGIN, method, path) == {}


@requests
def test_an_origin_that_is_named_is_let_in_on_errors_too(
    site: Site, method: str, path: str
) -> None:
    found = allowed(site(CORS_ORIGINS=[ORIGIN]), ORIGIN, method, path)
    assert found["Access-Control-Allow-Origin"] == ORIGIN
    assert "Access-Control-Allow-Credentials" not in found
    if method == "OPTIONS":
        assert "PATCH" in found["Access-Control-Allow-Methods"]
        assert "If-Match" in found["Access-Control-Allow-Headers"]
    else:
        exposed = found["Access-Control-Expose-Headers"].split(", ")
        wanted = {"ETag", "X-Request-ID", "Idempotent-Replayed", "WWW-Authenticate"}
        assert wanted <= set(exposed)


@requests
@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "*",
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil.test",
        "https://evil-app.example",
        "https://appXexample",
        "https://app.example@evil.test",
        "https://user:app.example",
    ],
)
def test_no_other_origin_is_let_in(
    site: Site, method: str, path: str, origin: str
) -> None:
    assert allowed(site(CORS_ORIGINS=[ORIGIN]), origin, method, path) == {}


@pytest.mark.parametrize(
    ("origin", "is_let_in"),
    [
        ("http://localhost", True),
        ("http://localhost:5173", True),
        ("http://127.0.0.1:8080", True),
        ("http://localhost.evil.test", False),
        ("http://localhost:80.evil.test", False),
        ("http://127.0.0.1.evil.test", False),
        ("http://127a0b0c1", False),
        ("http://evil.test/http://localhost", False),
    ],
)
def test_development_lets_every_port_of_this_machine_in_and_no_more(
    site: Site, origin: str, is_let_in: bool
) -> None:
    client = site(CORS_ORIGINS=DevelopmentConfig.CORS_ORIGINS)
    found = allowed(client, origin, "GET", "/health/live")
    assert found.get("Access-Control-Allow-Origin") == (origin if is_let_in else None)


@as_text
def test_the_text_says_what_was_asked_and_by_whom(
    site: Site, written: io.StringIO
) -> None:
    client = site(ENABLED_FEATURES="carts,accounts")
    with client.application.app_context():
        upgrade()
    written.seek(written.truncate(0))
    keyed = {"Idempotency-Key": "order-1", **by("ada", "editor")}
    with ToyAuthenticator().added_to(client.application):
        for _ in range(2):
            client.post("/carts/", json={"items": []}, headers=keyed)
        query = f"?limit=1&token={CANARY}"
        client.get(f"/carts/{query}", headers=by("ada", "editor"), expect=400)
    first, again, listed = written.getvalue().splitlines()
    assert "  by ada" in first and "replayed" not in first
    assert again.endswith("  replayed")
    assert "GET /carts/?limit=1&token=*** 400" in listed


@as_text
def test_each_statement_is_logged_when_that_is_asked_for(
    site: Site, written: io.StringIO
) -> None:
    client = site(LOG_SQL=True)
    with client.application.app_context():
        upgrade()
    written.seek(written.truncate(0))
    client.get(f"/catalog/movies/?q={CANARY}")
    lines = written.getvalue().splitlines()
    statements = [line for line in lines if "SELECT catalog_movies." in line]
    assert len(statements) == 1 and " ms  SELECT" in statements[0]
    assert "FROM catalog_movies" in statements[0]
    assert CANARY not in "".join(statements)


def test_the_values_of_a_statement_that_fails_are_not_logged(
    site: Site, written: io.StringIO
) -> None:
    client = site()
    with client.application.app_context():
        upgrade()
        with sql.engine.begin() as connection:
            statement = "ALTER TABLE catalog_movies RENAME COLUMN price TO cost"
            connection.exec_driver_sql(statement)
    written.seek(written.truncate(0))
    body = {"title": CANARY, "year": 2000}
    with calling(client.application, "ed editor") as editor:
        FlaskClient.open(editor, "/catalog/movies/", method="POST", json=body)
    assert "catalog_movies" in written.getvalue()
    assert CANARY not in written.getvalue()


@as_text
def test_the_line_of_a_job_is_text_too(site: Site, written: io.StringIO) -> None:
    fields = {"job": "a.b", "duration_ms": 1.25, "sql": 2}
    site()
    logging.getLogger("myapp.jobs").info("job a.b done", extra={"fields": fields})
    assert written.getvalue().endswith("job a.b done  1.2 ms, 2 SQL\n")
