"""The table of commands, each with its module, which is loaded when it is called.

A command of a feature is in the ``cli.py`` of the feature, on its blueprint.
"""

from typing import Any

import click
from flask import Flask
from flask.cli import AppGroup

from myapp.core.loading import import_when_used

COMMANDS = {
    "add-field": "myapp.core.scaffold.add_field:add_field",
    "backup": "myapp.core.backup.cli:backup",
    "check-migrations": "myapp.core.stores.sql.steps:check_migrations",
    "create-database": "myapp.core.commands:create_database",
    "dev": "myapp.core.commands:dev",
    "jobs": "myapp.core.jobs.cli:jobs",
    "new-feature": "myapp.core.scaffold.cli:new_feature",
    "new-model": "myapp.core.scaffold.add_model:new_model",
    "new-migration": "myapp.core.scaffold.migration:new_migration",
    "new-secret": "myapp.core.commands:new_secret",
    "openapi": "myapp.core.docs.cli:openapi_command",
    "remove-feature": "myapp.core.scaffold.cli:remove_feature",
    "scheduler": "myapp.core.jobs.cli:scheduler",
    "seed": "myapp.core.commands:seed",
    "settings": "myapp.core.scaffold.settings:settings_command",
    "version": "myapp.core.commands:version",
    "worker": "myapp.core.jobs.cli:worker",
}


class LazyGroup(AppGroup):
    """The commands of an application; those in the table are loaded when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, for ``flask --help``."""
        return sorted({*super().list_commands(ctx), *COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name."""
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            self.add_command(import_when_used(COMMANDS[cmd_name]))
        return super().get_command(ctx, cmd_name)


def shell_names() -> dict[str, Any]:
    """The names in ``flask shell``: those of each store, and every model."""
    names: dict[str, Any] = import_when_used("myapp.core.commands:all_shell_names")()
    return names


def init_app(app: Flask) -> None:
    """Add the commands."""
    app.cli = LazyGroup(app.name)
    app.shell_context_processor(shell_names)
