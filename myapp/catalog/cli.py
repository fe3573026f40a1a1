"""Commands of the catalog."""

import click

from myapp.catalog.endpoints import blueprint
from myapp.catalog.factories import load_demo
from myapp.catalog.models import Movie
from myapp.core.query import ListQuery
from myapp.core.stores import commit


@blueprint.cli.command("seed")
def seed() -> None:
    """Load about 50 films, unless there are films already."""
    if Movie.list(ListQuery(limit=1)).items:
        click.echo("there are films already")
        return
    count = load_demo()
    commit()
    click.echo(f"loaded {count} films")
