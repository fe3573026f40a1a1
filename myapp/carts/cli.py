"""Commands of the carts."""

import click

from myapp.carts.endpoints import blueprint
from myapp.carts.factories import load_demo
from myapp.carts.models import Cart
from myapp.core.query import ListQuery
from myapp.core.stores import commit


@blueprint.cli.command("seed")
def seed() -> None:
    """Load three carts, unless there are carts already."""
    if Cart.list(ListQuery(limit=1)).items:
        click.echo("there are carts already")
        return
    count = load_demo()
    commit()
    click.echo(f"loaded {count} carts")
