"""The development server: reloads when code changes, and goes on after a mistake.

The parent process holds the socket and starts a child that serves. When the child
cannot start, because of a mistake in the code or the settings, the parent answers with
the error until a file changes.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
import orjson
from flask import Flask
from werkzeug.serving import BaseWSGIServer, make_server, run_simple

from myapp.core.jobs.processes import Beside
from myapp.core.ports import port_refusal

# Seconds between two checks that the parent still runs, or that a file has changed.
CHECK_EVERY = 0.5
# On macOS, the libraries of the system do not work in a copy of a process.
CAN_FORK = sys.platform == "linux"
# The exit status of a child that has seen a change.
RELOAD = 3
FILES = ("*.py", "myapp/**/*.py", "instance/*.py", ".flaskenv", ".env")


def serve_child(app: Flask, host: str, port: int, has_jobs: bool) -> None:
    """Serve in the child, on the socket of the parent, until a file changes.

    :param has_jobs: whether a worker and a scheduler run beside it.
    """
    threading.Thread(target=end_with_parent, daemon=True).start()
    if has_jobs:
        Beside(["worker", "--concurrency", "1", "--scheduler"])
    run_simple(host, port, app, use_reloader=True, use_debugger=False, threaded=True)


def end_with_parent() -> None:
    """End this process when the reloader that started it has ended."""
    parent = os.getppid()
    # No system call that works everywhere reports the end of a parent, so this polls.
    while os.getppid() == parent:
        time.sleep(CHECK_EVERY)
    os.kill(os.getpid(), signal.SIGKILL)


def open_socket(host: str, port: int) -> BaseWSGIServer:
    """The socket of the parent.

    :raises ClickException: when the port is in use.
    """
    told = port_refusal(host, port, "make run")
    if told:
        raise click.ClickException(told)
    server = make_server(host, port, problem_application)
    server.socket.set_inheritable(True)
    server.timeout = CHECK_EVERY
    return server


def supervise(server: BaseWSGIServer, root: Path, serve: Callable[[], None]) -> None:
    """Start a child for each state of the code, until one ends by itself.

    :param serve: called in the first child, where this process can be copied: it has
        loaded the application already. The next children are new processes.
    """
    os.environ["WERKZEUG_RUN_MAIN"] = "true"
    os.environ["WERKZEUG_SERVER_FD"] = str(server.fileno())
    command = [sys.executable, *sys.orig_argv[1:]]
    before = snapshot(root)
    child = os.fork() if CAN_FORK else None
    if child == 0:
        serve()
        sys.exit()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        if child:
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            child = None
        else:
            before = snapshot(root)
            status = subprocess.call(command, close_fds=False)
        if status <= 0:
            sys.exit(-status)
        if status != RELOAD:
            click.echo("\n  The server goes on when a file has changed.\n", err=True)
            problem_application.error = error_of_import(root)
            while snapshot(root) == before:
                server.handle_request()


def snapshot(root: Path) -> dict[Path, float]:
    """When each file of the code was changed."""
    files = {path for pattern in FILES for path in root.glob(pattern)}
    return {path: path.stat().st_mtime for path in files if path.exists()}


def error_of_import(root: Path) -> str:
    """What Python says about the code, as text."""
    command = [sys.executable, "-c", "import wsgi"]
    told = subprocess.run(command, cwd=root, capture_output=True, text=True)
    return told.stderr.strip() or "The server has ended."


class ProblemApplication:
    """A WSGI application that answers each request with the error in the code.

    :ivar error: its text; the last line is the error itself.
    """

    error = ""

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer with a problem document, RFC 9457."""
        body = orjson.dumps(
            {
                "type": "about:blank",
                "title": "The code has an error",
                "status": 500,
                "detail": self.error.splitlines()[-1],
                "traceback": self.error.splitlines(),
            },
            option=orjson.OPT_INDENT_2,
        )
        kind = ("Content-Type", "application/problem+json")
        start_response("500 Internal Server Error", [kind])
        return [body]


problem_application = ProblemApplication()
