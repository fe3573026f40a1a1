"""A row of the mount table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Feature:
    """One feature: its package, where it is mounted and who may use it.

    :param name: the package under ``myapp``, which is also its blueprint's name.
    :param url_prefix: where its blueprint is mounted, such as ``/catalog``.
    :param access: who may call a route that states no access itself; a word of
        :data:`myapp.core.access.rules.ACCESS`.
    """

    name: str
    url_prefix: str
    access: str
