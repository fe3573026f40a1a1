"""Who may call a route. The application does not start while a route states nothing.

The word is looked up on the method, then on the resource, then on the row of
the mount table. ``public`` is a word that has to be written.
"""

from collections.abc import Callable
from typing import Any

# Each word, and what it means.
ACCESS = {"public": "anybody may call this"}
#: What each word asks of a client, as OpenAPI's Security Requirement Objects, which
#: name the schemes below; an empty list asks for nothing.
REQUIREMENTS: dict[str, list[dict[str, list[str]]]] = {"public": []}
#: OpenAPI's Security Scheme Objects, by name.
SECURITY_SCHEMES: dict[str, dict[str, str]] = {}


def stated_access(view: Callable[..., Any], method: str, row: str | None) -> str:
    """The access word of one method of a view.

    :param view: a view function, or one made by ``View.as_view``.
    :param row: the word on the feature's row, ``None`` outside features.
    :raises LookupError: when no word is stated, or an unknown one.
    """
    resource = getattr(view, "view_class", view)
    handler = getattr(resource, method.lower(), resource)
    word = getattr(handler, "access", None) or getattr(resource, "access", None) or row
    if word not in ACCESS:
        name = getattr(resource, "__qualname__", resource)
        known = ", ".join(sorted(ACCESS))
        raise LookupError(f"{method} of {name} states access {word!r}, not: {known}")
    return word


def public(view: Any) -> Any:
    """State that anybody may call this view, resource or method."""
    view.access = "public"
    return view
