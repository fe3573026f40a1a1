"""``flask openapi``: prints the OpenAPI document, or compares it with the released
document."""

from pathlib import Path
from typing import Any

import click
import orjson
from flask import current_app
from flask.cli import with_appcontext

from myapp.core.docs.compatibility import find_breaks
from myapp.core.docs.openapi import build_document


@click.command("openapi")
@click.option(
    "--check", "action", flag_value="check", help="Look for breaking changes."
)
@click.option(
    "--save", "action", flag_value="save", help="Release it, if nothing breaks."
)
@click.option("--accept", "action", flag_value="accept", help="Release it as it is.")
@with_appcontext
def openapi_command(action: str | None) -> None:
    """Print the OpenAPI document of every mounted feature, or compare it with the
    released document in openapi.json."""
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

    :raises ClickException: lists each break and its places.
    """
    places: dict[str, list[str]] = {}
    for where, what in find_breaks(released, document):
        places.setdefault(what, []).append(where)
    if places:
        lines = ["this breaks clients of openapi.json:"]
        for what, found in places.items():
            lines += [f"  {what}", *(f"    {place}" for place in found)]
        lines.append("if that is intended: flask openapi --accept")
        raise click.ClickException("\n".join(lines))
