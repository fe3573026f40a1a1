"""Who may call a route. The application does not start while a route states nothing.

The access word is looked up on the method, then on the resource, then on the row of
the mount table. ``public`` is a word that has to be written.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from myapp.core.access.caller import Caller


@dataclass(frozen=True)
class Rule:
    """What an access word means.

    :param meaning: who may call, in one sentence.
    :param allows: whether a caller may; ``None`` stands for one that is not known.
    :param challenge: the WWW-Authenticate of its 401, RFC 9110 section 11.6.1; without
        one, those of the authenticators are sent.
    """

    meaning: str
    allows: Callable[[Caller | None], bool]
    challenge: str = ""

    @property
    def is_public(self) -> bool:
        """Whether a caller need not say who it is."""
        return self.allows(None)


def granted(word: str) -> Rule:
    """The rule of a word that must have been granted to the caller."""
    return Rule(
        f"Only callers with the grant {word} may call this.",
        lambda caller: caller is not None and word in caller.grants,
    )


#: Each access word, and what it means.
ACCESS: dict[str, Rule] = {
    "public": Rule("Anybody may call this.", lambda _caller: True),
    "signed_in": Rule(
        "Only callers that say who they are may call this.",
        lambda caller: caller is not None,
    ),
}


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


def access(word: str) -> Callable[[Any], Any]:
    """State who may call a view function, a resource or one of its methods.

    :param word: a key of :data:`ACCESS`.
    """

    def mark(view: Any) -> Any:
        view.access = word
        return view

    return mark


#: State that anybody may call a view function, a resource or one of its methods.
public = access("public")
