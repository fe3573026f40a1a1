"""A row of the mount table."""

from dataclasses import dataclass

from myapp.core.access.rules import SAFE_METHODS


@dataclass(frozen=True)
class Feature:
    """One feature: its package, where it is mounted and who may use it.

    :param name: the package under ``myapp``, which is also its blueprint's name.
    :param url_prefix: where its blueprint is mounted, such as ``/catalog``.
    :param access: who may call a route that states no access itself: words of
        :data:`myapp.core.access.rules.ACCESS`, such as ``owner | role("admin")``.
    :param write_access: who may call its methods that write; by default the same.
    :param stores: the stores that it uses beside those of the models that it serves,
        such as ``("redis",)``; it is ready when all of them are.
    """

    name: str
    url_prefix: str
    access: str
    stores: tuple[str, ...] = ()
    write_access: str = ""

    def scope_of(self, method: str) -> str:
        """The scope that a token needs for a method: ``catalog:read``, or
        ``catalog:write`` for one that writes."""
        return f"{self.name}:{'read' if method in SAFE_METHODS else 'write'}"

    def access_of(self, method: str) -> str:
        """Who may call a method that states no access itself."""
        is_write = method not in SAFE_METHODS
        return self.write_access if is_write and self.write_access else self.access
