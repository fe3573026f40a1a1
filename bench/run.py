"""Measure the app and its peers, all on the same table."""

import argparse
import os
import platform
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from statistics import median

import database
import load
import psycopg
import servers
from psycopg.conninfo import conninfo_to_dict

sys.path.insert(0, str(servers.BENCH.parent))

from myapp.core.testing.signing import make_user, sign_in  # noqa: E402

NAMES = ("myapp", *servers.COMMANDS)
NO_WRK = "wrk is missing: apt-get install wrk (Debian) or brew install wrk (macOS)"


def names_from(allowed):
    """Return a parser of comma-separated names that keeps the order of ``allowed``."""

    def parse(text):
        """Return the allowed names in the text."""
        wanted = text.split(",")
        unknown = set(wanted) - set(allowed)
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
        return [name for name in allowed if name in wanted]

    return parse


def arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="length of a run")
    parser.add_argument("--rounds", type=int, default=5, help="runs per server")
    parser.add_argument("--only", type=names_from(NAMES), default=list(NAMES))
    parser.add_argument(
        "--operations",
        type=names_from(load.OPERATIONS),
        default=list(load.OPERATIONS),
    )
    parser.add_argument("--app-dir", type=Path, default=servers.BENCH.parent)
    parser.add_argument(
        "--postgres",
        default="postgresql://postgres@127.0.0.1:5432/postgres",
        help="a server where databases can be created",
    )
    return parser.parse_args()


def environment(conninfo, scratch):
    """Return the environment with the database in the form that each server reads."""
    part = conninfo_to_dict(conninfo)
    return {
        "DATABASE_URL": database.url(conninfo),
        "MYAPP_ENV": "production",
        "MYAPP_INSTANCE_PATH": str(scratch),
        "MYAPP_SECRET_KEY": secrets.token_urlsafe(48),
        "MYAPP_SQLALCHEMY_DATABASE_URI": database.url(conninfo),
        "PGHOST": part.get("host", "127.0.0.1"),
        "PGPORT": str(part.get("port", 5432)),
        "PGUSER": part.get("user", "postgres"),
        "PGPASSWORD": part.get("password", ""),
        "PGDATABASE": part["dbname"],
    }


def chosen(options):
    """Install the servers to measure, and return them."""
    found = [
        (
            servers.myapp(options.app_dir.resolve())
            if name == "myapp"
            else servers.peer(name)
        )
        for name in options.only
    ]
    return [server for server in found if server]


def can_run(server, operation):
    """Whether a server has what an operation needs."""
    return bool(server.session) or operation not in load.SIGNED_IN


def check_all(running, operation, ids):
    """Check one operation on every server, each on its own row."""
    for server, key in zip(running, ids):
        if not can_run(server, operation):
            continue
        try:
            load.check(server, operation, key)
        except ValueError as error:
            sys.exit(f"{server.name} {operation}: {error}")


def measure_all(options, running, conninfo, ids_file, checked):
    """Measure every operation on every server, the servers taking turns."""
    runs = {}
    for operation in options.operations:
        check_all(running, operation, checked)
        for turn in range(options.rounds):
            for server in running:
                if not can_run(server, operation):
                    continue
                database.reset(conninfo)
                run = load.measure(server, operation, options.seconds, ids_file)
                runs.setdefault((operation, server.name), []).append(run)
                print(
                    f"{operation} round {turn + 1} {server.name}: {run.rate:.0f}/s",
                    f"INVALID, {run.failures} failed" if run.failures else "",
                    file=sys.stderr,
                )
    return runs


def cells(runs):
    """Return the cells of one operation and one server, by name of the row."""
    if not runs or any(run.failures for run in runs):
        told = "INVALID" if runs else "–"
        return dict.fromkeys(("req/s", "p50 ms", "p99 ms", "CPU µs/req"), told)
    times = [run.cpu for run in runs]
    cpu = "n/a"
    if None not in times:
        cpu = f"{median(times):.0f} ({min(times):.0f}–{max(times):.0f})"
    return {
        "req/s": f"{median(run.rate for run in runs):.0f}",
        "p50 ms": f"{median(run.p50 for run in runs):.2f}",
        "p99 ms": f"{median(run.p99 for run in runs):.2f}",
        "CPU µs/req": cpu,
    }


def ratio(mine, other):
    """Return the CPU time of the app over that of another server."""
    if not other or any(run.failures or run.cpu is None for run in mine + other):
        return "n/a"
    return f"{median(run.cpu for run in mine) / median(run.cpu for run in other):.2f}"


def table(runs, operations, names):
    """Write the results as a Markdown table."""
    lines = [
        f"| operation | | {' | '.join(names)} |",
        f"|---|---|{'---:|' * len(names)}",
    ]
    for operation in operations:
        columns = [cells(runs.get((operation, name), [])) for name in names]
        for row in columns[0]:
            values = " | ".join(column[row] for column in columns)
            lines.append(f"| {operation} | {row} | {values} |")
        if "myapp" in names:
            mine = runs[operation, "myapp"]
            others = [runs.get((operation, name), []) for name in names]
            values = " | ".join(ratio(mine, other) for other in others)
            lines.append(f"| {operation} | CPU, myapp ÷ this | {values} |")
    return "\n".join(lines)


def output_of(*command):
    """Return the first line that a command prints, whatever its exit status."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return (result.stdout or "unknown").splitlines()[0].strip()


def cpu_model():
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def heading(options, running):
    """Return the machine, the date and the versions of the measurement."""
    with psycopg.connect(options.postgres) as connection:
        version = connection.info.parameter_status("server_version")
    commit = output_of("git", "-C", options.app_dir, "rev-parse", "--short", "HEAD")
    lines = [
        f"- machine: {os.cpu_count()} cores, {cpu_model()}, {platform.system()}",
        f"- date: {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        f"- Python {platform.python_version()}, PostgreSQL {version}, "
        f"{output_of('wrk', '-v').partition(' Copyright')[0]}",
        f"- app: commit {commit}",
        f"- {options.rounds} rounds of {options.seconds} s, medians, "
        f"wrk -t1 -c{load.CONNECTIONS}",
    ]
    for server in running:
        pins = server.folder / "requirements.txt"
        if server.name != "myapp":
            lines.append(f"- {server.name}: {', '.join(pins.read_text().split())}")
    return "\n".join(lines)


def main():
    """Run the benchmark and return the exit status."""
    options = arguments()
    if shutil.which("wrk") is None:
        print(NO_WRK, file=sys.stderr)
        return 2
    running = chosen(options)
    if not running:
        print("There is nothing to measure", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        conninfo = stack.enter_context(database.temporary_database(options.postgres))
        settings = environment(conninfo, scratch)
        servers.migrate(options.app_dir.resolve(), settings)
        ids = database.fill(conninfo)
        ids_file = scratch / "ids"
        checked, loaded = ids[: len(NAMES)], ids[len(NAMES) :: 10]
        ids_file.write_text("\n".join(loaded))
        python = str(options.app_dir.resolve() / ".venv" / "bin" / "python")
        for server in running:
            stack.callback(server.stop)
            server.start(settings, scratch / f"{server.name}.log")
            if server.name == "myapp":
                make_user(server.folder, {**os.environ, **settings}, python=python)
                server.session = sign_in(f"http://127.0.0.1:{server.port}")
        runs = measure_all(options, running, conninfo, str(ids_file), checked)
    print(heading(options, running), end="\n\n")
    print(table(runs, options.operations, [server.name for server in running]))
    failed = [key for key, found in runs.items() if any(run.failures for run in found)]
    for operation, name in failed:
        print(f"INVALID: {operation} on {name} had failed requests", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
