"""``flask new-migration``: a migration for what has changed in the models. It asks what
cannot be seen in them."""

import sys

import click
from flask.cli import with_appcontext

from myapp.core.scaffold.cli import this_tree
from myapp.core.stores.sql.renames import ASKS
from myapp.core.stores.sql.scaffold import write_migration
from myapp.core.stores.sql.steps import ACCEPTED, breaks_in


@click.command("new-migration")
@click.argument("message")
@click.option("--rename", "renames", multiple=True, help="table.old:new")
@click.option("--drop", "drops", multiple=True, help="table.column")
@click.option("--value", "values", multiple=True, help="table.column=text")
@with_appcontext
def new_migration(
    message: str,
    renames: tuple[str, ...],
    drops: tuple[str, ...],
    values: tuple[str, ...],
) -> None:
    """Write a migration for what has changed in the models.

    A column that may have been renamed is asked for, or said by --rename or --drop;
    --value is what the rows that exist get in a new column.
    """
    answers = [f"rename={one}" for one in renames]
    answers += [f"drop={one}" for one in drops]
    answers += [f"value={one}" for one in values]
    while True:
        try:
            written = write_migration(this_tree(), message, answers)
            break
        except click.ClickException as error:
            asked = [line for line in error.message.splitlines() if ASKS in line]
            if not asked:
                raise
            answers += [answer_to(line.partition(ASKS)[2].strip()) for line in asked]
    for path in written:
        click.echo(f"migrations/versions/{path.name}")
        if "op.require_empty" in path.read_text(encoding="utf-8"):
            click.echo("it stops at a table with rows; --value gives them one")
        for line in breaks_in(path):
            click.echo(f"breaks the release before it: {line}")
            click.echo(f'  where no release has it, add: {ACCEPTED} = "..."')
    if not written:
        click.echo("the models have not changed")


def is_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()


def answer_to(question: str) -> str:
    """What somebody answers to a question, such as ``films.note: remark, memo``.

    :raises ClickException: when nobody can be asked.
    """
    place, _, names = question.partition(": ")
    known = names.split(", ")
    if not is_terminal():
        raise click.ClickException(
            f"{place} is gone: say --rename {place}:{known[0]} or --drop {place}"
        )
    name = click.prompt(
        f"{place} is gone. Its new name ({names}), or - to drop it with its values",
        type=click.Choice([*known, "-"]),
        show_choices=False,
    )
    return f"drop={place}" if name == "-" else f"rename={place}:{name}"
