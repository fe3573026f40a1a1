"""``flask dev``, ``flask seed``, ``flask new-secret``, and the names of the shell."""

import logging
import os
import secrets
import signal
import threading
import time
from pathlib import Path
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from werkzeug.serving import is_running_from_reloader, run_simple

from myapp.core.rest.api import api_of
from myapp.core.stores.store import registered_stores

# Seconds between two checks that the reloader still runs.
PARENT_CHECK = 0.5


@click.command("seed")
@with_appcontext
def seed() -> None:
    """Load the demo data of every feature that has a ``seed`` command."""
    for blueprint in current_app.blueprints.values():
        command = blueprint.cli.commands.get("seed")
        if command is not None:
            click.get_current_context().invoke(command)


@click.command("dev")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=5000, show_default=True, envvar="PORT")
@with_appcontext
def dev(host: str, port: int) -> None:
    """Migrate, load demo data, and serve; reload when code changes."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    if not is_running_from_reloader():
        for store in registered_stores():
            store.upgrade()
        click.get_current_context().invoke(seed)
        echo_urls(app, f"http://{host}:{port}")
    else:
        threading.Thread(target=end_with_parent, daemon=True).start()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    run_simple(host, port, app, use_reloader=True, use_debugger=False, threaded=True)


def end_with_parent() -> None:
    """End this process when the reloader that started it has ended."""
    parent = os.getppid()
    # No system call that works everywhere reports the end of a parent, so this polls.
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK)
    os.kill(os.getpid(), signal.SIGKILL)


def echo_urls(app: Flask, base: str) -> None:
    """Print the URLs of the documentation."""
    click.echo(f"\n  {base}/   what is here")
    for feature in app.extensions["features"].values():
        click.echo(f"  {base}{feature.url_prefix}/docs")
    click.echo(f"  {base}/docs   every route of every feature")
    click.echo(f"  {base}/health/ready\n")


@click.command("new-secret")
@with_appcontext
def new_secret() -> None:
    """Write a SECRET_KEY into instance/config.py, unless it has a SECRET_KEY."""
    path = Path(current_app.instance_path, "config.py")
    text = path.read_text() if path.exists() else '"""Settings of this machine."""\n'
    if "SECRET_KEY" in text:
        click.echo(f"{path} has a SECRET_KEY")
        return
    path.parent.mkdir(exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(f'{text}\nSECRET_KEY = "{secrets.token_urlsafe(48)}"\n')
    click.echo(f"wrote a SECRET_KEY into {path}")


def all_shell_names() -> dict[str, Any]:
    """The names in ``flask shell``: those of each store, and every model."""
    names: dict[str, Any] = {}
    for store in registered_stores():
        names |= store.shell_names()
    for feature in current_app.extensions["features"]:
        for namespace in api_of(current_app, feature).namespaces:
            for model in getattr(namespace, "served", ()):
                names[model.__name__] = model
    return names
