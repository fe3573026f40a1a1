"""What ``flask new-feature`` asks of a store."""

from pathlib import Path

from flask import current_app

from myapp.core.loading import import_when_used
from myapp.core.model.model import Model
from myapp.core.scaffold.fields import Fields
from myapp.core.scaffold.tree import Tree

#: Names to import, as pairs of module and name.
Imports = set[tuple[str, str]]


class StoreScaffold:
    """What a model of a store looks like, and what it needs beside its folder."""

    #: What people call the store: ``SQL``.
    title: str
    #: The base class of its models.
    base: type[Model]
    #: The module that features import from.
    module: str
    #: The line in a model that names where its records are; ``{feature}`` and
    #: ``{one}`` stand for the plural and the singular.
    place: str

    def columns(self, fields: Fields) -> dict[str, str]:
        """The declaration of each column as code, by its name.

        :raises FieldError: when the store cannot hold a field.
        """
        return {}

    def imports(self, fields: Fields) -> Imports:
        """What the columns need."""
        return set()

    def is_taken(self, feature: str) -> bool:
        """Whether something in the store has the name of a new feature."""
        return False

    def users(self, feature: str) -> set[str]:
        """What refers to the records of a feature, from outside it."""
        return set()

    def add(self, tree: Tree, feature: str) -> list[Path]:
        """Write what a new feature needs beside its folder.

        :returns: the files.
        """
        return []

    def undo(self, tree: Tree, feature: str) -> bool:
        """Take back what :meth:`add` wrote, while the feature is still there.

        :returns: whether nothing is left to :meth:`drop`.
        """
        return True

    def drop(self, tree: Tree, feature: str) -> list[Path]:
        """Write what removes the records of a feature that is gone.

        :returns: the files.
        """
        return []


def scaffolds() -> dict[str, StoreScaffold]:
    """That of each store, by its name."""
    stores = current_app.extensions["stores"]
    return {store.name: import_when_used(store.scaffold)() for store in stores}
