"""The commands ``create-database``, ``dev``, ``seed``, ``new-secret`` and ``version``,
and the names of the shell."""

import logging
import os
import secrets
from pathlib import Path
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from werkzeug.serving import is_running_from_reloader

from myapp.core.development import open_socket, serve_child, supervise
from myapp.core.errors.startup import ConfigError
from myapp.core.rest.api import api_of
from myapp.core.stores.store import close_stores, registered_stores


@click.command("seed")
@with_appcontext
def seed() -> None:
    """Load the demo data of every feature that has a ``seed`` command."""
    for blueprint in current_app.blueprints.values():
        command = blueprint.cli.commands.get("seed")
        if command is not None:
            click.get_current_context().invoke(command)


@click.command("create-database")
@with_appcontext
def create_database() -> None:
    """Make the database that the configuration names, when it is missing."""
    for store in registered_stores():
        try:
            done = store.create()
        except store.errors as error:
            reason = str(error).strip().splitlines()[0]
            raise click.ClickException(f"{store.setting}: {reason}") from error
        if done:
            click.echo(done)


@click.command("dev")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=5000, show_default=True, envvar="PORT")
@click.option("--jobs/--no-jobs", default=True, help="Run a worker beside it.")
@with_appcontext
def dev(host: str, port: int, jobs: bool) -> None:
    """Migrate, load demo data, and serve; reload when code changes."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    logging.getLogger("werkzeug").setLevel(logging.WARNING)

    def serve() -> None:
        serve_child(app, host, port, jobs)

    if is_running_from_reloader():
        serve()
        return
    # The links in mails; the processes that serve and work inherit it.
    app.config["PUBLIC_URL"] = app.config["PUBLIC_URL"] or f"http://{host}:{port}"
    os.environ["MYAPP_PUBLIC_URL"] = app.config["PUBLIC_URL"]
    server = open_socket(host, port)
    try:
        for store in registered_stores():
            store.upgrade()
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    click.get_current_context().invoke(seed)
    echo_urls(app, f"http://{host}:{port}")
    close_stores(app)
    supervise(server, Path(app.root_path).parent, serve)


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


@click.command("version")
@with_appcontext
def version() -> None:
    """Print the name of the release that this code is."""
    click.echo(current_app.config["RELEASE"] or "not a release")


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
