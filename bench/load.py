"""The load: one checked request per operation, and wrk."""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from http.client import HTTPConnection

from servers import BENCH

OPERATIONS = ("get", "list", "post", "patch", "me")
#: Those of a server that has sessions alone.
SIGNED_IN = ("me",)
CONNECTIONS = 8
WARM_UP_SECONDS = 1
FIELDS = {
    "id": r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    "created_at": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z",
    "updated_at": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z",
    "version": r"\d+",
    "title": r".+",
    "year": r"\d{4}",
    "director_id": r"[0-9a-f-]{36}|null",
    "runtime": r"\d+|null",
    "genres": r"\[.*\]",
    "synopsis": r".+",
    "price": r"\d+\.\d\d",
}
BODY = {
    "title": "The Night of the Benchmark",
    "year": 1999,
    "runtime": 117,
    "genres": ["drama", "sci-fi"],
    "synopsis": " ".join(["A stranger comes to town, nothing is as it was."] * 4),
    "price": "9.99",
}


@dataclass
class Run:
    """The results of one run of wrk."""

    rate: float
    p50: float
    p99: float
    failures: int
    cpu: float | None


def call(server, method, path, body=None):
    """Send one request and return its status and its JSON."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    content = None if body is None else json.dumps(body)
    headers = {"Content-Type": "application/json", **server.session}
    connection.request(method, path, content, headers)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, json.loads(text)


def check_record(record):
    """Raise unless a record has exactly the expected fields, in the expected form."""
    if record.keys() != FIELDS.keys():
        raise ValueError(f"other fields: {sorted(record.keys() ^ FIELDS.keys())}")
    for name, pattern in FIELDS.items():
        value = record[name]
        text = value if isinstance(value, str) else json.dumps(value)
        if not re.fullmatch(pattern, text, re.DOTALL):
            raise ValueError(f"{name} is written as {value!r}")
    if not isinstance(record["price"], str):
        raise ValueError("price is not a string")


def check_write(server, request, answer):
    """Raise unless a valid write is done and an invalid write is refused."""
    method, path, body = request
    if any(answer[name] != value for name, value in body.items()):
        raise ValueError(f"the response differs from the request: {answer}")
    changed = method == "PATCH"
    if answer["version"] != 1 + changed:
        raise ValueError(f"version {answer['version']} after {method}")
    if changed and answer["updated_at"] <= answer["created_at"]:
        raise ValueError("updated_at has not changed")
    status, answer = call(server, method, path, {**body, "runtime": 0})
    if not 400 <= status < 500:
        raise ValueError(f"status {status} for an invalid body")


def check(server, operation, key):
    """Raise unless the response to an operation on an unchanged row is as expected."""
    item, collection = f"/catalog/movies/{key}", "/catalog/movies/"
    request = {
        "get": ("GET", item),
        "list": ("GET", f"{collection}?limit=20"),
        "post": ("POST", collection, BODY),
        "patch": ("PATCH", item, {"runtime": 99}),
        "me": ("GET", "/accounts/me"),
    }[operation]
    status, answer = call(server, *request)
    if status != (201 if operation == "post" else 200):
        raise ValueError(f"status {status}: {answer}")
    if operation in SIGNED_IN:
        return
    if operation == "list":
        if answer.keys() != {"items", "next"} or len(answer["items"]) != 20:
            raise ValueError(f"not a page of 20: {sorted(answer)}")
    for record in answer["items"] if operation == "list" else [answer]:
        check_record(record)
    if operation in ("post", "patch"):
        check_write(server, request, answer)


def wrk(server, operation, seconds, ids_file):
    """Run wrk once and return the numbers that report.lua printed."""
    result = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}", "--latency"]
        + ["-s", f"{operation}.lua", f"http://127.0.0.1:{server.port}"],
        cwd=BENCH,
        env={
            **os.environ,
            "BENCH_IDS": ids_file,
            "BENCH_BODY": json.dumps(BODY),
            "BENCH_COOKIE": server.session.get("Cookie", ""),
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 30,
    )
    line = re.search(r"^RESULT (.+)$", result.stdout, re.MULTILINE)
    if line is None:
        raise RuntimeError(f"wrk said: {result.stdout}{result.stderr}")
    return [float(number) for number in line[1].split()]


def measure(server, operation, seconds, ids_file):
    """Warm the server up, load it and return the results."""
    wrk(server, operation, WARM_UP_SECONDS, ids_file)
    before = server.cpu_seconds()
    count, micros, p50, p99, statuses, broken = wrk(
        server, operation, seconds, ids_file
    )
    after = server.cpu_seconds()
    return Run(
        rate=count / micros * 1e6,
        p50=p50 / 1000,
        p99=p99 / 1000,
        failures=int(statuses + broken),
        cpu=None if after is None else (after - before) / max(count, 1) * 1e6,
    )
