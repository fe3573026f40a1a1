"""Traces and bugs reach a collector, which is a server of the test, from uWSGI."""

import gzip
import json
import string
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

from myapp import create_app
from myapp.core.errors.startup import ConfigError
from myapp.core.testing.server import Server, eventually

BIN = Path(sys.executable).parent
CANARY = "s3cr3t-canary"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
FAILS = f"""
from flask import request
from myapp.core.access import public


@public
def fails():
    value = request.get_json()
    raise LookupError("redis://app:{CANARY}@db")


app.add_url_rule("/fails", view_func=fails, methods=["POST"])
"""


class Collector(ThreadingHTTPServer):
    """A server that keeps what it gets."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.received: list[tuple[str, bytes]] = []

    @property
    def host(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self.server_port}"


class Receiver(BaseHTTPRequestHandler):
    """Takes every POST."""

    def do_POST(self) -> None:
        """Keep the body."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        assert isinstance(self.server, Collector)
        self.server.received.append((self.path, body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Write nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A running collector."""
    server = Collector()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def start(serve: Callable[..., Server], **settings: str) -> Server:
    """Start the application under uWSGI, with two workers and a view that fails."""
    secret = {"MYAPP_SECRET_KEY": string.ascii_letters, "WEB_CONCURRENCY": "2"}
    settings = {"MYAPP_ENV": "production", "MYAPP_RELEASE": "v1", **secret, **settings}
    server = serve(str(BIN / "uwsgi"), "--ini", "myapp.ini", **settings)
    with server.tree.joinpath("wsgi.py").open("a") as file:
        file.write(FAILS)
    server.process.kill()
    server.process.wait()
    server.start()
    server.wait_for("/health/live")
    return server


def send(server: Server, path: str, **headers: str) -> int:
    """Send a POST with a secret in it; return the status."""
    body = json.dumps({"password": CANARY, "items": []}).encode()
    headers = {"Content-Type": "application/json", "Cookie": f"a={CANARY}", **headers}
    asked = urllib.request.Request(server.base + path, body, headers)
    try:
        with urllib.request.urlopen(asked) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_traces_reach_the_collector(
    serve: Callable[..., Server], collector: Collector
) -> None:
    settings = {"OTEL_BSP_SCHEDULE_DELAY": "100", "MYAPP_TRACES_SAMPLED": "1.0"}
    settings["MYAPP_RATE_LIMITS"] = '{"*": "1000/60"}'
    server = start(serve, MYAPP_OTLP_ENDPOINT=f"http://{collector.host}", **settings)

    def spans() -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for path, body in list(collector.received):
            assert path == "/v1/traces"
            for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in sent.scope_spans:
                    for span in scope.spans:
                        found.setdefault(span.trace_id.hex(), []).append(span)
        return found

    traced = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    assert send(server, "/accounts/session?name=" + CANARY, **traced) == 400
    assert server.get("/schemas/problem.json")
    eventually(lambda: len(spans()) >= 2)
    found = spans()
    (ours,) = (one for one in found[TRACE] if one.parent_span_id.hex() == PARENT)
    assert ours.name == "POST /accounts/session"
    (other,) = (one for name, one in found.items() if name != TRACE)
    assert "GET /schemas/<name>.json" in [span.name for span in other]
    # What Redis is asked, for the limit, is part of the request.
    assert len(other) > 1 and {span.trace_id for span in other} == {other[0].trace_id}
    assert not any("/health" in span.name for one in found.values() for span in one)
    lines = [json.loads(line) for line in server.log.read_text().splitlines()[-2:]]
    assert lines[0]["trace_id"] == TRACE
    assert lines[1]["trace_id"] == other[0].trace_id.hex()
    for _, body in collector.received:
        assert CANARY.encode() not in body


def test_a_bug_reaches_sentry_without_what_the_client_sent(
    serve: Callable[..., Server], collector: Collector
) -> None:
    server = start(serve, MYAPP_SENTRY_DSN=f"http://key@{collector.host}/1")
    headers = {"X-Request-ID": "from-the-client", "Authorization": f"Bearer {CANARY}"}
    assert send(server, f"/fails?token={CANARY}", **headers) == 500
    eventually(lambda: collector.received)
    ((path, body),) = collector.received
    assert path == "/api/1/envelope/"
    event = next(
        json.loads(line) for line in body.splitlines() if b'"exception"' in line
    )
    (error,) = event["exception"]["values"]
    assert error["type"] == "LookupError"
    assert event["release"] == "v1" and event["environment"] == "production"
    assert event["tags"]["request_id"] == "from-the-client"
    assert CANARY not in body.decode()


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"OTLP_ENDPOINT": "127.0.0.1:4318"}, "OTLP_ENDPOINT is not a URL"),
        ({"OTLP_ENDPOINT": "http://a", "TRACES_SAMPLED": 1.5}, "from 0 to 1"),
        ({"SENTRY_DSN": "https://sentry"}, "SENTRY_DSN is not a DSN"),
    ],
)
def test_a_wrong_setting_is_one_line(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        create_app(settings)


@pytest.mark.parametrize(
    "setting, package",
    [("OTLP_ENDPOINT", "opentelemetry"), ("SENTRY_DSN", "sentry_sdk")],
)
def test_a_missing_package_is_one_line(
    monkeypatch: pytest.MonkeyPatch, setting: str, package: str
) -> None:
    module = {"OTLP_ENDPOINT": "tracing", "SENTRY_DSN": "sentry"}[setting]
    monkeypatch.delitem(sys.modules, f"myapp.core.http.{module}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=f"{setting} needs the package {package}"):
        create_app({setting: "http://key@127.0.0.1/1"})
