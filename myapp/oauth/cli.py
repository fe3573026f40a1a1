"""The commands of OAuth."""

import click
from flask import current_app

from myapp.core.errors import Problem
from myapp.core.stores import commit
from myapp.oauth.clients import add_client
from myapp.oauth.endpoints import ROLE, blueprint
from myapp.oauth.models import CODE, ENCRYPTED, GRANTS, OPAQUE, REFRESH, SIGNED, Client


@blueprint.cli.command("create-client")
@click.argument("name")
@click.option(
    "--grant",
    "grants",
    multiple=True,
    default=(CODE, REFRESH),
    show_default=True,
    type=click.Choice(GRANTS),
)
@click.option("--scope", "scopes", multiple=True, required=True)
@click.option("--redirect-uri", "redirect_uris", multiple=True)
@click.option("--public", is_flag=True, help="For a client that can keep no secret.")
@click.option(
    "--access-tokens", type=click.Choice([OPAQUE, SIGNED, ENCRYPTED]), default=OPAQUE
)
@click.option(
    "--role",
    default=ROLE,
    show_default=True,
    help="With which it calls for itself, by client_credentials.",
)
def create_client(
    name: str,
    grants: tuple[str, ...],
    scopes: tuple[str, ...],
    redirect_uris: tuple[str, ...],
    public: bool,
    access_tokens: str,
    role: str,
) -> None:
    """Make a client, and tell its secret once."""
    if role not in current_app.config["ROLES"]:
        raise click.BadParameter(f"{role} is not in ROLES", param_hint="--role")
    body = {
        "name": name,
        "is_confidential": not public,
        "grants": [*grants],
        "redirect_uris": [*redirect_uris],
        "scopes": [*scopes],
        "access_tokens": access_tokens,
    }
    try:
        Client.create_validator.check(body)
        client, secret = add_client(body, None, role)
    except Problem as problem:
        told = [f"{one['pointer']} {one['detail']}" for one in problem.errors]
        raise click.ClickException("; ".join(told) or str(problem)) from problem
    commit()
    click.echo(f"client_id      {client.id}")
    if secret:
        click.echo(f"client_secret  {secret}")
