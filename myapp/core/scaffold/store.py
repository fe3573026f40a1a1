"""The interface between ``flask new-feature`` and a store."""

from collections.abc import Sequence
from pathlib import Path

from flask import current_app

from myapp.core.loading import import_when_used
from myapp.core.model.model import Model
from myapp.core.scaffold.fields import Fields
from myapp.core.scaffold.tree import Tree

#: Names to import, as pairs of module and name.
Imports = set[tuple[str, str]]


class StoreScaffold:
    """The code of a model in a store, and what it needs outside its folder."""

    #: The name of the store in texts: ``SQL``.
    title: str
    #: The base class of its models.
    base: type[Model]
    #: The module that features import from.
    module: str
    #: The line in a model that names its table, or its keys; ``{feature}`` and
    #: ``{one}`` are replaced by the plural and the singular.
    place: str
    #: Whether a migration can give records that exist a value in a new field.
    gives_values = False

    def columns(self, fields: Fields) -> dict[str, str]:
        """The declaration of each column as code, by its name.

        :raises FieldError: when the store cannot hold a field.
        """
        return {}

    def owner_column(self, most: int) -> tuple[dict[str, str], Imports]:
        """The column of the owner of a record, as :meth:`columns`, and its imports.

        :param most: the most characters of the id of a caller.
        """
        return {}, set()

    def imports(self, fields: Fields) -> Imports:
        """The imports for the columns."""
        return set()

    def is_taken(self, feature: str) -> bool:
        """Whether the store already uses the name of a new feature."""
        return False

    def users(self, feature: str) -> set[str]:
        """What refers to the records of a feature from outside the feature."""
        return set()

    def add(self, tree: Tree, feature: str) -> list[Path]:
        """Write what a new feature needs outside its folder.

        :returns: the files.
        """
        return []

    def change(self, tree: Tree, message: str, answers: Sequence[str]) -> list[Path]:
        """Write what a changed model needs outside its folder.

        :param answers: to what cannot be seen in the model.
        :returns: the files.
        """
        return []

    def filled(self, feature: str) -> list[str]:
        """What would be lost with a feature, in words: ``the rows of films``."""
        return []

    def undo(self, tree: Tree, feature: str) -> bool:
        """Undo :meth:`add`, before the feature is removed.

        :returns: whether :meth:`drop` is not needed.
        """
        return True

    def drop(self, tree: Tree, feature: str) -> list[Path]:
        """Write what removes the records of a removed feature.

        :returns: the files.
        """
        return []


def scaffolds() -> dict[str, StoreScaffold]:
    """The scaffold of each store, by the name of the store."""
    stores = current_app.extensions["stores"]
    return {store.name: import_when_used(store.scaffold)() for store in stores}
