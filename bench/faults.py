"""Kill, stop and cut the app and its stores under load, and look for lost writes.

The app runs under uWSGI, with a PostgreSQL and a Redis of this run. While clients
write, workers are killed, both stores are restarted and stopped, and replies of both
are cut off. Each write that was acknowledged is in a ledger, which is compared with
both stores at the end.
"""

import argparse
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import ledger as ledgers
import psycopg
import redis
import servers

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from myapp.core.stores.redis.server import find_server  # noqa: E402
from myapp.core.testing.proxy import Proxy  # noqa: E402
from myapp.core.testing.signing import make_user, sign_in  # noqa: E402

# Seconds that a stopped store stays stopped, and that replies are cut.
STOPPED = CUT = 3
# The share of the replies that is cut then.
SHARE = 0.05
PAUSE = 1.0


def arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--writes", type=int, default=100_000, help="at least")
    parser.add_argument("--kills", type=int, default=300, help="of workers, at least")
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--postgres-bin", help="where initdb and postgres are")
    return parser.parse_args()


def programs(given):
    """Return the folder of PostgreSQL's programs."""
    if given:
        return Path(given)
    known = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = shutil.which("initdb") or (str(known[-1]) if known else None)
    if found is None:
        sys.exit("no initdb found; install PostgreSQL, or use --postgres-bin FOLDER")
    return Path(found).parent


class Process:
    """A server of this run."""

    def __init__(self, name, command, log, user=None):
        self.name, self.command, self.log, self.user = name, command, log, user
        self.process = None

    def start(self):
        """Start it."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=log,
                user=self.user,
                start_new_session=True,
            )

    def end(self, number):
        """End it by a signal, and wait for it."""
        self.process.send_signal(number)
        self.process.wait()


class Postgres(Process):
    """PostgreSQL; it refuses to run as root."""

    def __init__(self, folder, binaries):
        self.port, self.folder, self.binaries = servers.free_port(), folder, binaries
        user = "postgres" if os.geteuid() == 0 else None
        if user:
            shutil.chown(folder, user)
        initdb = [binaries / "initdb", "-D", folder, "-U", "postgres", "-A", "trust"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, user=user)
        options = ["-p", str(self.port), "-k", "", "-c", "listen_addresses=127.0.0.1"]
        command = [binaries / "postgres", "-D", folder, *options]
        super().__init__("sql", command, folder.with_suffix(".log"), user)

    def restart(self):
        """Restart it without a clean stop (``-m immediate``)."""
        self.end(signal.SIGQUIT)
        self.start()

    def pids(self):
        """Return its processes."""
        children = children_of(self.process.pid)
        return [self.process.pid, *children]

    def is_ready(self):
        """Return whether it takes connections."""
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def url(self, database):
        """Return the URL of a database, past the proxy."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"


class Redis(Process):
    """Redis with its append-only file."""

    def __init__(self, folder):
        self.port = servers.free_port()
        command = [find_server(), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--dir", str(folder), "--appendonly", "yes", "--save", ""]
        super().__init__("redis", command, folder.with_suffix(".log"))

    def restart(self):
        """Kill it, and start it again."""
        self.end(signal.SIGKILL)
        self.start()

    def pids(self):
        """Return its process."""
        return [self.process.pid]

    def is_ready(self):
        """Return whether it replies, and has read its file."""
        with redis.Redis(port=self.port, socket_timeout=2) as client:
            try:
                return client.ping()
            except redis.RedisError:
                return False


def children_of(pid):
    """Return the children of a process."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return [int(child) for child in path.read_text().split()]
    except OSError:
        return []


def send(pid, number):
    """Send a signal; return whether the process still exists."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def wait_for(is_ready, seconds=30):
    """Wait until a function returns true."""
    deadline = time.monotonic() + seconds
    while not is_ready():
        if time.monotonic() > deadline:
            raise RuntimeError("a server did not start")
        time.sleep(0.01)


class Faults(threading.Thread):
    """Kills a worker every second, and does more to the stores in turn."""

    def __init__(self, app, stores, proxies, stop):
        super().__init__()
        self.app, self.stores, self.proxies, self.stop = app, stores, proxies, stop
        self.kills = 0
        #: Each outage: name of the store, kind, and when it began and ended.
        self.outages = []

    def run(self):
        """Do them until told to stop."""
        acts = [self.restart, self.hang, self.cut]
        while not self.stop.is_set():
            for act in acts:
                for store in self.stores:
                    act(store)
                    for _ in range(3):
                        self.pause(PAUSE)

    def pause(self, seconds):
        """Wait, and kill a worker each second meanwhile."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.stop.is_set():
            workers = children_of(self.app.process.pid)
            if workers:
                self.kills += send(random.choice(workers), signal.SIGKILL)
            time.sleep(min(PAUSE, max(0, end - time.monotonic())))

    def restart(self, store):
        """Restart a store without a clean stop."""
        start = time.monotonic()
        store.restart()
        wait_for(store.is_ready)
        self.outages.append((store.name, "restart", start, time.monotonic()))

    def hang(self, store):
        """Stop a store for seconds."""
        pids, start = store.pids(), time.monotonic()
        for pid in pids:
            send(pid, signal.SIGSTOP)
        self.pause(STOPPED)
        for pid in pids:
            send(pid, signal.SIGCONT)
        self.outages.append((store.name, "hang", start, time.monotonic()))

    def cut(self, store):
        """Cut replies of a store for seconds."""
        self.proxies[store.name].lose = lambda _: random.random() < SHARE
        self.pause(CUT)
        self.proxies[store.name].lose = lambda _: False


def delays(events, outages):
    """Return the seconds to the first 503 after outages began, and to the first success
    after they ended."""
    first, again = [], []
    for name, _, start, end in outages:
        mine = [(at, status) for at, store, status in events if store == name]
        down = [at for at, status in mine if status == 503 and start < at < end + 5]
        up = [at for at, status in mine if 200 <= status < 300 and at > end]
        first += [down[0] - start] if down else []
        again += [up[0] - end] if up else []
    return first, again


def stored(postgres, cache, database="myapp"):
    """Return the texts in each store."""
    with psycopg.connect(postgres.url(database)) as connection:
        found = connection.execute("SELECT name FROM catalog_directors").fetchall()
    with redis.Redis(port=cache.port) as client:
        ids = client.zrange("{cart}:ids", 0, -1)
        bodies = [client.get(b"{cart}:" + id) for id in ids]
        keys = sum(1 for _ in client.scan_iter("{cart}:????????-*", 1000))
    if keys != len(ids) or None in bodies:
        sys.exit(f"Redis has {keys} carts and {len(ids)} in the index")
    notes = [json.loads(body)["note"] for body in bodies]
    return {"sql": [name for (name,) in found], "redis": notes}


def create_database(postgres):
    """Create the database of the app."""
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE myapp")


def serve(options, scratch, postgres, cache, stack):
    """Start the app behind the proxies; return its server and the proxies."""
    proxies = {
        store.name: stack.enter_context(Proxy("127.0.0.1", store.port))
        for store in (postgres, cache)
    }
    create_database(postgres)
    database = f"postgresql+psycopg://postgres@127.0.0.1:{proxies['sql'].port}/myapp"
    environment = {
        "MYAPP_ENV": "production",
        "MYAPP_INSTANCE_PATH": str(scratch / "instance"),
        "MYAPP_SECRET_KEY": secrets.token_urlsafe(48),
        "MYAPP_SQLALCHEMY_DATABASE_URI": database,
        "MYAPP_REDIS_URL": f"redis://127.0.0.1:{proxies['redis'].port}/0",
        "MYAPP_LOG_LEVEL": "WARNING",
    }
    servers.migrate(ROOT, environment)
    make_user(ROOT, {**os.environ, **environment})
    uwsgi = [str(ROOT / ".venv" / "bin" / "uwsgi"), "--ini", "myapp.ini"]
    uwsgi += ["--processes", str(options.workers)]
    app = servers.Server("myapp", ROOT, uwsgi, servers.free_port(), "/health/ready")
    app.start(environment, scratch / "myapp.log")
    stack.callback(app.stop)
    ledgers.Client.session = sign_in(f"http://127.0.0.1:{app.port}")
    return app, proxies


def run(options, scratch, postgres, cache, stack):
    """Write and break until there are enough writes and kills; return the status."""
    app, proxies = serve(options, scratch, postgres, cache, stack)
    ledger, stop, calm = ledgers.Ledger(), threading.Event(), threading.Event()
    faults = Faults(app, (postgres, cache), proxies, stop)
    clients = [
        ledgers.Client(number, app.port, ledger, calm)
        for number in range(options.clients)
    ]
    started = time.monotonic()
    for thread in (faults, *clients):
        thread.start()
    while faults.is_alive() and (
        ledger.acknowledged < options.writes or faults.kills < options.kills
    ):
        time.sleep(0.2)
    stop.set()
    faults.join()
    calm.set()
    for client in clients:
        client.join()
    seconds = time.monotonic() - started
    app.stop()
    result = ledgers.compare(ledger, stored(postgres, cache))
    log = (scratch / "myapp.log").read_text(errors="replace")
    return report(ledger, faults, seconds, result, log)


def report(ledger, faults, seconds, result, log):
    """Print the figures; return 1 when a promise is broken, else 0."""
    lost, doubled, other = result
    statuses = ", ".join(
        f"{status or 'no response'}: {count}"
        for status, count in sorted(ledger.statuses.items())
    )
    print(f"{ledger.acknowledged:,} acknowledged writes in {seconds:.0f} s")
    print(f"{ledger.replayed:,} responses repeated for an Idempotency-Key")
    kinds = [kind for _, kind, _, _ in faults.outages]
    print(
        f"{faults.kills} workers killed; stores restarted {kinds.count('restart')} "
        f"times, stopped for {STOPPED} s {kinds.count('hang')} times"
    )
    for kind in ("restart", "hang"):
        for store in ("sql", "redis"):
            outages = [one for one in faults.outages if one[:2] == (store, kind)]
            first, again = delays(ledger.events, outages)
            first, again = (f"{max(one, default=0):.1f} s" for one in (first, again))
            print(f"{kind} of {store}: first 503 after {first}, works after {again}")
    print(f"responses: {statuses}")
    print(f"lost: {len(lost)}, doubled: {len(doubled)}, other contents: {len(other)}")
    for one in [*lost, *doubled, *other, *ledger.wrong][:20]:
        print(f"  {one}")
    errors = ledger.statuses.get(500, 0)
    if errors:
        print(log[-5000:])
    return 1 if lost or doubled or other or ledger.wrong or errors else 0


def main():
    """Run, and print the figures; the status is 1 when a promise is broken."""
    options = arguments()
    binaries = programs(options.postgres_bin)
    with ExitStack() as stack:
        scratch = Path(tempfile.mkdtemp(prefix="myapp-faults-"))
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        scratch.chmod(0o755)
        for name in ("postgres", "redis", "instance"):
            (scratch / name).mkdir()
        postgres = Postgres(scratch / "postgres", binaries)
        cache = Redis(scratch / "redis")
        for store in (postgres, cache):
            store.start()
            stack.callback(store.end, signal.SIGKILL)
            wait_for(store.is_ready)
        sys.exit(run(options, scratch, postgres, cache, stack))


if __name__ == "__main__":
    main()
