"""nginx in front of uWSGI, as deploy/nginx configures it: run, and attacked."""

import gzip
import http.client
import json
import os
import signal
import socket
import ssl
import string
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from rehearsal.proxy import Nginx

from myapp.core.testing.signing import make_user, sign_in

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PATIENCE = 30.0
MOVIES = "/catalog/movies/"
PROBLEM = "application/problem+json"
# The application with two more URLs: one that waits, and one that tells its environ.
MODULE = """
import json, time
from wsgi import app

inner = app.wsgi_app


def told(environ, start_response):
    path = environ["PATH_INFO"]
    with open({seen!r}, "a") as file:
        file.write(path + "\\n")
    if path.startswith("/wait/"):
        time.sleep(float(path.rpartition("/")[2]))
    if path == "/environ":
        start_response("200 OK", [("Content-Type", "application/json")])
        texts = {{k: v for k, v in environ.items() if isinstance(v, str)}}
        return [json.dumps(texts).encode()]
    return inner(environ, start_response)


app.wsgi_app = told
"""

pytestmark = pytest.mark.external


class Site:
    """nginx and uWSGI with their files in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nginx = Nginx(folder, folder)
        self.port, self.plain_port = self.nginx.port, self.nginx.plain_port
        self.tls = self.nginx.tls
        self.seen = folder / "seen"
        self.seen.touch()
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.session: dict[str, str] = {}

    def start(self) -> None:
        """Start both, and wait for a response through both."""
        (self.folder / "current").symlink_to(ROOT)
        (self.folder / "run").mkdir()
        (self.folder / "told.py").write_text(MODULE.format(seen=str(self.seen)))
        self.start_uwsgi()
        self.running["nginx"] = self.nginx.start()
        self.wait_until_ready()
        make_user(ROOT, self.environment)
        self.session = sign_in(f"https://127.0.0.1:{self.port}", self.tls)

    def start_uwsgi(self) -> None:
        """Start the application on the socket of nginx."""
        environment = self.environment = {
            **os.environ,
            "SOCKET": str(self.folder / "run" / "app.sock"),
            "WEB_CONCURRENCY": "2",
            "PYTHONPATH": str(self.folder),
            "MYAPP_ENV": "production",
            "MYAPP_SECRET_KEY": string.ascii_letters,
            "MYAPP_INSTANCE_PATH": str(self.folder / "instance"),
        }
        (self.folder / "instance").mkdir(exist_ok=True)
        upgrade = [sys.executable, "-m", "flask", "db", "upgrade"]
        subprocess.run(
            upgrade, cwd=ROOT, env=environment, check=True, capture_output=True
        )
        command = [str(BIN / "uwsgi"), "--ini", "myapp.ini", "--module", "told:app"]
        with (self.folder / "uwsgi.log").open("ab") as log:
            self.running["uwsgi"] = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log
            )

    def wait_until_ready(self) -> None:
        """Wait for a response of the application."""
        deadline = time.monotonic() + PATIENCE
        status = 0
        while status != 200:
            assert time.monotonic() < deadline, (self.folder / "uwsgi.log").read_text()
            with suppress(OSError):
                status = self.send("GET", "/health/live")[0].status
            time.sleep(0.05)

    def end(self, name: str, number: int = signal.SIGTERM) -> None:
        """End a server, and wait for it."""
        process = self.running.pop(name)
        process.send_signal(number)
        process.wait(PATIENCE)

    def stop(self) -> None:
        """End both."""
        for name in list(self.running):
            self.end(name)

    def send(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """The response to a request, and its body."""
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=PATIENCE, context=self.tls
        )
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named = {**(self.session if method in ("POST", "PATCH") else {}), **named}
        with closing(connection):
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return response, response.read()

    def connect(self) -> ssl.SSLSocket:
        """An open connection."""
        plain = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        return self.tls.wrap_socket(plain)

    def raw(self, request: bytes) -> bytes:
        """All that comes back for some bytes, until there is no more."""
        with closing(self.connect()) as connection:
            connection.sendall(request)
            connection.settimeout(1.0)
            found = b""
            with suppress(OSError):
                while data := connection.recv(65536):
                    found += data
            return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """nginx and uWSGI."""
    one = Site(tmp_path_factory.mktemp("nginx"))
    try:
        one.start()
        yield one
    finally:
        one.stop()


def check_problem(answer: tuple[Any, bytes], status: int, slug: str) -> Any:
    """Check that a response is a problem document; return its response."""
    response, body = answer
    assert response.status == status, body
    assert response.headers["Content-Type"] == PROBLEM
    problem = json.loads(body)
    assert (problem["status"], problem["type"]) == (status, f"/problems/{slug}")
    assert problem["request_id"] == response.headers["X-Request-ID"]
    return response


def film(title: str) -> str:
    """The body of a new film."""
    return json.dumps({"title": title, "year": 1927, "genres": ["drama"]})


def test_it_speaks_tls_and_http_2_and_sends_plain_http_there(site: Site) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    plain = socket.create_connection(("127.0.0.1", site.port), PATIENCE)
    with closing(context.wrap_socket(plain)) as connection:
        assert connection.selected_alpn_protocol() == "h2"
    connection = http.client.HTTPConnection("127.0.0.1", site.plain_port)
    with closing(connection):
        connection.request("GET", "/catalog/movies/?q=a", headers={"Host": "a.example"})
        response = connection.getresponse()
        assert response.status == 308
        assert response.headers["Location"] == "https://a.example/catalog/movies/?q=a"
    response, _ = site.send("GET", "/health/live")
    assert response.headers["Strict-Transport-Security"]


def test_what_nginx_refuses_is_a_problem_document(site: Site) -> None:
    json_type = {"Content_Type": "application/json"}
    body = b"[" + b"1," * 2**20 + b"1]"
    check_problem(site.send("POST", MOVIES, body, **json_type), 413, "too-large")
    long = f"{MOVIES}?q={'x' * 20_000}"
    check_problem(site.send("GET", long), 414, "uri-too-long")
    answer = site.send("GET", MOVIES, X_Long="x" * 20_000)
    check_problem(answer, 431, "headers-too-large")
    answer = site.send("GET", MOVIES, **{f"X_{n}": "x" * 9_000 for n in range(9)})
    check_problem(answer, 431, "headers-too-large")
    assert b"/problems/bad-request" in site.raw(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
    # What the application answers stays as it is.
    answer = site.send("GET", "/nothing", X_Request_ID="mine")
    assert check_problem(answer, 404, "not-found").headers["X-Request-ID"] == "mine"
    assert json.loads(answer[1])["instance"] == "/nothing"


def test_an_application_that_is_slow_or_gone_is_a_problem_document(site: Site) -> None:
    response = check_problem(site.send("GET", "/wait/6"), 504, "gateway-timeout")
    assert response.headers["Retry-After"]
    site.end("uwsgi")
    try:
        response = check_problem(site.send("GET", MOVIES), 502, "bad-gateway")
        assert response.headers["Retry-After"]
    finally:
        site.start_uwsgi()
        site.wait_until_ready()


def test_what_is_too_much_is_503_at_once_and_the_rest_is_answered(site: Site) -> None:
    def ask(_number: int) -> tuple[Any, float]:
        started = time.monotonic()
        answer = site.send("GET", "/wait/0.2")
        return answer, time.monotonic() - started

    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(ask, range(40)))
    statuses = [answer[0].status for answer, _ in answers]
    assert set(statuses) == {404, 503}
    assert statuses.count(404) >= 8
    for answer, _ in answers:
        if answer[0].status == 503:
            response = check_problem(answer, 503, "unavailable")
            assert response.headers["Retry-After"] == "1"
    refused = [t for (answer, t) in answers if answer[0].status == 503]
    served = [t for (answer, t) in answers if answer[0].status == 404]
    assert min(refused) < max(served)
    assert site.send("GET", MOVIES)[0].status == 200


def test_slow_clients_hold_no_worker(site: Site) -> None:
    head = f"POST {MOVIES} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n"
    with ExitStack() as stack:
        slow = [stack.enter_context(closing(site.connect())) for _ in range(300)]
        dripping, done = threading.Event(), threading.Event()

        def drip() -> None:
            for number, one in enumerate(slow):
                one.sendall(head.encode() + (b"\r\n" if number % 2 else b""))
            dripping.set()
            while not done.wait(0.5):
                for number, one in enumerate(slow):
                    with suppress(OSError):
                        one.sendall(b"x" if number % 2 else b"X-A: b\r\n")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert dripping.wait(PATIENCE)
            for _ in range(50):
                started = time.monotonic()
                assert site.send("GET", MOVIES)[0].status == 200
                assert time.monotonic() - started < PATIENCE / 3
        finally:
            done.set()
            thread.join()


def test_what_a_client_says_of_itself_is_not_believed(site: Site) -> None:
    spoofed = {
        "X_Forwarded_For": "203.0.113.9",
        "X_Forwarded_Proto": "http",
        "X_Forwarded_Host": "evil.example",
        "X_Real_IP": "203.0.113.9",
        "Forwarded": "for=203.0.113.9",
    }
    environ = json.loads(site.send("GET", "/environ", Host="a.example", **spoofed)[1])
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["HTTP_X_FORWARDED_FOR"] == "127.0.0.1"
    assert environ["HTTP_X_FORWARDED_PROTO"] == environ["wsgi.url_scheme"] == "https"
    assert environ["HTTP_X_FORWARDED_HOST"] == environ["HTTP_HOST"] == "a.example"
    assert environ["HTTP_X_REAL_IP"] == "127.0.0.1"
    assert not environ.get("HTTP_FORWARDED")
    # A header with an underscore is another spelling of the same name for WSGI.
    request = b"GET /environ HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 1.2.3.4\r\n\r\n"
    assert b"1.2.3.4" not in site.raw(request)


def test_lists_are_compressed_and_a_record_keeps_its_strong_etag(site: Site) -> None:
    sent = {"Content_Type": "application/json", "Accept_Encoding": "gzip"}
    made, body = site.send("POST", MOVIES, film("x" * 90), **sent)
    assert made.status == 201, body
    url = f"{MOVIES}{json.loads(body)['id']}"
    for _ in range(9):
        site.send("POST", MOVIES, film("y" * 90), **sent)
    found, packed = site.send("GET", MOVIES, Accept_Encoding="gzip")
    assert found.headers["Content-Encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(packed))["items"]) >= 10
    read, _ = site.send("GET", url, Accept_Encoding="gzip")
    assert read.headers["ETag"] == made.headers["ETag"]
    assert read.headers["ETag"].startswith('"')
    change = {"Content_Type": "application/json", "If_Match": read.headers["ETag"]}
    assert site.send("PATCH", url, '{"year": 1928}', **change)[0].status == 200
    style, text = site.send("GET", "/static/docs.js")
    assert text == (ROOT / "myapp/core/docs/static/docs.js").read_bytes()
    assert style.headers["Content-Type"] == "application/javascript"
    assert style.headers["X-Content-Type-Options"] == "nosniff"


def test_a_body_in_chunks_is_taken(site: Site) -> None:
    text = film("in chunks").encode()
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(text), text)
    head = f"POST {MOVIES} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    head += "".join(f"{name}: {text}\r\n" for name, text in site.session.items())
    found = site.raw(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    assert found.startswith(b"HTTP/1.1 201 ")


HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED_END = b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked", CHUNKED_END + HIDDEN),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5", CHUNKED_END + HIDDEN),
        (b"Content-Length: 0\r\nContent-Length: %d" % len(HIDDEN), HIDDEN),
        (b"Content-Length: %d\r\nContent-Length: 0" % len(HIDDEN), HIDDEN),
        (b"Content-Length: +0", HIDDEN),
        (b"Content-Length: 0x0", HIDDEN),
        (b"Content-Length : 0", HIDDEN),
        (b"Transfer-Encoding: xchunked", CHUNKED_END + HIDDEN),
        (b"Transfer-Encoding: chunked, identity", CHUNKED_END + HIDDEN),
        (b"Transfer-Encoding: identity, chunked", CHUNKED_END + HIDDEN),
        (b"Transfer-Encoding : chunked", CHUNKED_END + HIDDEN),
        (b"Transfer-Encoding:\x0bchunked", CHUNKED_END + HIDDEN),
        (b"X: y\rTransfer-Encoding: chunked", CHUNKED_END + HIDDEN),
        (b"Transfer-Encoding: chunked", b"0;\r\nx: y\r\n\r\n"[:4] + HIDDEN),
        (b"Content-Length: %d\r\nX: y" % len(HIDDEN), HIDDEN),
    ],
)
def test_no_request_hides_in_another(site: Site, headers: bytes, body: bytes) -> None:
    """Where nginx and uWSGI read the length of a body differently, the rest of it would
    be a request that no limit has seen. A hidden request may be read by nginx, which
    then answers both; it never reaches the application behind its back."""
    before = site.seen.read_text().count("/smuggled")
    head = f"POST {MOVIES} HTTP/1.1\r\nHost: a\r\n".encode()
    found = site.raw(head + headers + b"\r\n\r\n" + body)
    answers = found.count(b"HTTP/1.1 ")
    reached = site.seen.read_text().count("/smuggled") - before
    assert answers >= 1
    assert reached <= answers - 1
    assert site.send("GET", MOVIES)[0].status == 200
