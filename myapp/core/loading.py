"""Late imports, for modules that only commands and tests need."""

from importlib import import_module
from typing import Any


def import_when_used(name: str) -> Any:
    """The object with a name in a module; the module is imported now.

    :param name: ``package.module:name``.
    """
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)
