"""Measure deep pages of a large table, and the memory of the app.

The cost of the first and of the thousandth page of 1,000,000 rows by cursor, and the
memory of the workers before and after 100,000 requests.
"""

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from time import perf_counter

import psycopg

import database
import load
import servers
from run import environment

ROWS = 1_000_000
PAGE = 1000
SAMPLES = 300
REQUESTS = 100_000
MOVIES = """
insert into catalog_movies
select (lpad(to_hex(n), 12, '0') || '7000' || '8' || lpad(to_hex(n), 15, '0'))::uuid,
       now(), now(), 1, 'Movie number ' || n, 1920 + n %% 100, null, 60 + n %% 180,
       '["drama"]', 'A stranger comes to town.', 9.99
from generate_series(1, %s) as n
"""


def get(server, path):
    """Return the JSON of a page and the milliseconds that it took."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    start = perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse().read()
    elapsed = (perf_counter() - start) * 1000
    connection.close()
    return json.loads(answer), elapsed


def deep_page(server, sort):
    """Walk to the page before the thousandth, and return the path of the thousandth."""
    path = first = f"/catalog/movies/?limit=20&sort={sort}"
    for _ in range(PAGE - 1):
        answer, _elapsed = get(server, path)
        path = f"{first}&cursor={answer['next']}"
    return first, path


def compare_pages(server, sort):
    """Print the median milliseconds of both pages, which are read in turns."""
    first, deep = deep_page(server, sort)
    times = {first: [], deep: []}
    for _ in range(SAMPLES):
        for path, found in times.items():
            found.append(get(server, path)[1])
    shallow, low = median(times[first]), median(times[deep])
    print(
        f"- sort={sort}: first page {shallow:.2f} ms, page {PAGE} {low:.2f} ms, "
        f"ratio {low / shallow:.2f}"
    )


def memory(server):
    """Return the resident memory of each worker, in MiB."""
    found = []
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            text = path.read_text()
        except OSError:
            continue
        if f"\nPPid:\t{server.process.pid}\n" in text and "uwsgi" in text:
            found.append(int(text.partition("VmRSS:")[2].split()[0]) / 1024)
    return sorted(found)


def watch_memory(server, ids_file):
    """Print the memory of the workers during the requests."""
    done = 0
    while done < REQUESTS:
        for operation in ("get", "list", "post", "patch"):
            done += int(load.wrk(server, operation, 3, ids_file)[0])
        found = ", ".join(f"{size:.1f}" for size in memory(server))
        print(f"- after {done} requests: {found} MiB", flush=True)


def main():
    """Run both measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--app-dir", type=Path, default=servers.BENCH.parent)
    parser.add_argument(
        "--postgres", default="postgresql://postgres@127.0.0.1:5432/postgres"
    )
    options = parser.parse_args()
    folder = options.app_dir.resolve()
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        conninfo = stack.enter_context(database.temporary_database(options.postgres))
        settings = environment(conninfo, scratch)
        servers.migrate(folder, settings)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(MOVIES, (ROWS,))
            connection.execute("vacuum analyze catalog_movies")
        server = servers.myapp(folder)
        stack.callback(server.stop)
        server.start(settings, scratch / "myapp.log")
        for sort in ("-id", "title", "-year"):
            compare_pages(server, sort)
        ids = get(server, "/catalog/movies/?limit=100")[0]["items"]
        (scratch / "ids").write_text("\n".join(item["id"] for item in ids))
        watch_memory(server, str(scratch / "ids"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
