"""Commands that every feature shares: ``flask seed``, ``flask dev``, a secret."""

import logging
import os
import secrets
import signal
import threading
import time
from pathlib import Path
from typing import Any

import click
import orjson
from flask import Flask, current_app
from flask.cli import with_appcontext
from flask_migrate import upgrade
from werkzeug.serving import is_running_from_reloader, run_simple

from myapp.core.contract import find_breaks
from myapp.core.db import redis_store, sql
from myapp.core.openapi import build_document
from myapp.core.scaffold.cli import new_feature, remove_feature

# Seconds between two looks at whether the reloader still runs.
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
    """Migrate, load demo data, and serve with reload."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    if not is_running_from_reloader():
        upgrade()
        click.get_current_context().invoke(seed)
        echo_urls(app, f"http://{host}:{port}")
    else:
        threading.Thread(target=end_with_parent, daemon=True).start()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    run_simple(host, port, app, use_reloader=True, use_debugger=False, threaded=True)


def end_with_parent() -> None:
    """End this process when the reloader that started it is gone, however it went."""
    parent = os.getppid()
    # Nothing tells a process on every system that its parent is gone, so it looks.
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK)
    os.kill(os.getpid(), signal.SIGKILL)


def echo_urls(app: Flask, base: str) -> None:
    """Print what can be opened."""
    click.echo(f"\n  {base}/   what is here")
    for feature in app.extensions["features"].values():
        click.echo(f"  {base}{feature.url_prefix}/docs")
    click.echo(f"  {base}/docs   every route of every feature")
    click.echo(f"  {base}/health/ready\n")


@click.command("openapi")
@click.option("--check", "action", flag_value="check", help="Look for broken promises.")
@click.option(
    "--save", "action", flag_value="save", help="Release it, if it keeps all."
)
@click.option("--accept", "action", flag_value="accept", help="Release it as it is.")
@with_appcontext
def openapi(action: str | None) -> None:
    """Print the OpenAPI document of every mounted feature, or hold it against the
    released one in openapi.json."""
    document = build_document(current_app)
    text = orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"
    if action is None:
        click.echo(text, nl=False)
        return
    released = Path(current_app.root_path).with_name("openapi.json")
    if action != "accept" and released.exists():
        refuse_breaks(orjson.loads(released.read_bytes()), document)
    if action == "check":
        if not released.exists():
            raise click.ClickException("no openapi.json; flask openapi --save makes it")
    elif text != (released.read_bytes() if released.exists() else b""):
        released.write_bytes(text)
        click.echo(f"wrote {released.name}")


def refuse_breaks(released: dict[str, Any], document: dict[str, Any]) -> None:
    """Stop when clients of a released description would break.

    :raises ClickException: with what breaks, and where.
    """
    places: dict[str, list[str]] = {}
    for where, what in find_breaks(released, document):
        places.setdefault(what, []).append(where)
    if places:
        lines = ["this breaks clients of openapi.json:"]
        for what, found in places.items():
            lines += [f"  {what}", *(f"    {place}" for place in found)]
        lines.append("if that is meant: flask openapi --accept")
        raise click.ClickException("\n".join(lines))


@click.command("new-secret")
@with_appcontext
def new_secret() -> None:
    """Write a SECRET_KEY into instance/config.py, unless there is one."""
    path = Path(current_app.instance_path, "config.py")
    text = path.read_text() if path.exists() else '"""Settings of this machine."""\n'
    if "SECRET_KEY" in text:
        click.echo(f"{path} has a SECRET_KEY")
        return
    path.parent.mkdir(exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(f'{text}\nSECRET_KEY = "{secrets.token_urlsafe(48)}"\n')
    click.echo(f"wrote a SECRET_KEY into {path}")


def shell_names() -> dict[str, Any]:
    """What ``flask shell`` has at hand: both stores and every model."""
    names: dict[str, Any] = {"sql": sql, "redis_store": redis_store}
    for blueprint in current_app.blueprints.values():
        for namespace in getattr(getattr(blueprint, "api", None), "namespaces", ()):
            for model in getattr(namespace, "models_served", ()):
                names[model.__name__] = model
    return names


def init_app(app: Flask) -> None:
    """Add the commands."""
    app.cli.add_command(seed)
    app.cli.add_command(dev)
    app.cli.add_command(new_secret)
    app.cli.add_command(openapi)
    app.cli.add_command(new_feature)
    app.cli.add_command(remove_feature)
    app.shell_context_processor(shell_names)
