"""Who may call a route. The application does not start while a route states nothing.

The access is looked up on the method, then on the resource, then on the row of the
mount table. It is written in words: ``public`` is one that has to be written, and
``owner | role("admin")`` names two, of which one is enough.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from myapp.core.access.caller import Caller

#: The methods that do not write, RFC 9110 section 9.2.1.
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class Word:
    """One access word.

    :param meaning: who may call, such as "callers that are signed in".
    :param allows: whether a caller may; ``None`` stands for one that is not known.
    :param relation: what the caller has to be to the record, such as ``owner``; empty
        for a word that is independent of the record.
    :param role: the role that it asks for.
    :param challenge: the WWW-Authenticate of its 401, RFC 9110 section 11.6.1; without
        one, those of the authenticators are sent.
    """

    meaning: str
    allows: Callable[[Caller | None], bool]
    relation: str = ""
    role: str = ""
    challenge: str = ""


@dataclass(frozen=True)
class Rule:
    """Who may call: words, combined with ``|`` (one is enough) and ``&`` (both).

    :param alternatives: sets of words, of which one has to be fulfilled as a whole; an
        empty set lets anybody pass.
    :param scope: the scope that a token needs, whatever the words say (RFC 6749 section
        3.3); see :meth:`myapp.core.feature.Feature.scope_of`.
    """

    alternatives: tuple[tuple[Word, ...], ...]
    scope: str = ""

    def __or__(self, other: "Rule") -> "Rule":
        both = (*self.alternatives, *other.alternatives)
        return Rule(both, self.scope or other.scope)

    def __and__(self, other: "Rule") -> "Rule":
        pairs = [(one, two) for one in self.alternatives for two in other.alternatives]
        both = tuple((*one, *two) for one, two in pairs)
        return Rule(both, self.scope or other.scope)

    @property
    def is_public(self) -> bool:
        """Whether a caller need not say who it is."""
        return () in self.alternatives

    @property
    def meaning(self) -> str:
        """Who may call, in one sentence."""
        told = [
            " who are also ".join(word.meaning for word in words)
            for words in self.alternatives
        ]
        if self.is_public:
            return "anybody."
        token = f" A token needs the scope {self.scope}." if self.scope else ""
        return f"{', or '.join(told)}.{token}"

    @property
    def challenge(self) -> str:
        """The WWW-Authenticate of its words; empty for that of the authenticators."""
        words = [word for words in self.alternatives for word in words]
        return ", ".join(word.challenge for word in words if word.challenge)

    @property
    def roles(self) -> set[str]:
        """The roles that its words ask for."""
        return {word.role for words in self.alternatives for word in words} - {""}

    @property
    def relations(self) -> set[str]:
        """What its words want the caller to be to the record."""
        words = [word for words in self.alternatives for word in words]
        return {word.relation for word in words} - {""}

    def allows(self, caller: Caller | None) -> bool:
        """Whether a caller may call; the record is still to be asked about."""
        return self.lacks_scope(caller) is False and any(
            all(word.allows(caller) for word in words) for words in self.alternatives
        )

    def lacks_scope(self, caller: Caller | None) -> bool:
        """Whether the caller has a token without the scope that it needs here."""
        scopes = caller.scopes if caller is not None and self.scope else None
        return scopes is not None and self.scope not in scopes

    def wanted(self, caller: Caller | None) -> list[set[str]]:
        """What the caller has to be to a record: one of these sets has to be fulfilled
        as a whole. Without a set, no record is for this caller; an empty set stands for
        every record."""
        return [
            {word.relation for word in words} - {""}
            for words in self.alternatives
            if all(word.allows(caller) for word in words)
        ]


def is_known(caller: Caller | None) -> bool:
    """Whether a caller has said who it is."""
    return caller is not None


def is_in_person(caller: Caller | None) -> bool:
    """Whether a caller has signed in itself, and has not sent a token."""
    return caller is not None and caller.scopes is None


def role(name: str) -> Rule:
    """Callers with a role, or with a higher one; see ``ROLES`` in default_config.py."""
    meaning = f"callers with the role {name} or a higher one"
    word = Word(meaning, lambda one: one is not None and name in one.roles, role=name)
    return Rule(((word,),))


def scope(name: str) -> Rule:
    """Callers whose token has a scope (RFC 6749 section 3.3); no scope limits a caller
    that has signed in itself."""

    def allows(caller: Caller | None) -> bool:
        return caller is not None and (caller.scopes is None or name in caller.scopes)

    return Rule(
        ((Word(f"callers whose token, if any, has the scope {name}", allows),),)
    )


def relation(name: str, meaning: str) -> Rule:
    """Callers that are something to the record, as its model says; see
    :meth:`myapp.core.model.Model.related`."""
    return Rule(((Word(meaning, is_known, relation=name),),))


#: Each access word, and what it means: a rule, or a function that makes one of a text.
ACCESS: dict[str, Rule | Callable[[str], Rule]] = {
    "public": Rule(((),)),
    "signed_in": Rule(((Word("callers that are signed in", is_known),),)),
    "in_person": Rule(
        ((Word("callers that have signed in without a token", is_in_person),),)
    ),
    "owner": relation("owner", "the owner of the record"),
    "supervisor": relation("supervisor", "those who supervise the record"),
    "role": role,
    "scope": scope,
}
#: A rule that lets nobody pass.
NOBODY = Rule(())


def rule_of(text: str) -> Rule:
    """The rule that access words make, such as ``owner | role("admin")``.

    :raises ValueError: when the text is not made of words in :data:`ACCESS`.
    """
    try:
        return built(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"not access words: {text!r}") from error


def built(node: ast.AST) -> Rule:
    """The rule of a part of a text.

    :raises ValueError: when it is not made of words in :data:`ACCESS`.
    """
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return built(node.left) | built(node.right)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd):
        return built(node.left) & built(node.right)
    made: Any = None
    if isinstance(node, ast.Name):
        made = ACCESS.get(node.id)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        (argument,), make = node.args, ACCESS.get(node.func.id)
        if callable(make) and not node.keywords:
            made = make(ast.literal_eval(argument))
    if not isinstance(made, Rule):
        raise ValueError(ast.unparse(node))
    return made


def stated_access(view: Callable[..., Any], method: str, row: str | None) -> Rule:
    """Who may call one method of a view.

    :param view: a view function, or one made by ``View.as_view``.
    :param row: the words on the feature's row for this method, ``None`` outside
        features.
    :raises LookupError: when no words are stated, or unknown ones.
    """
    resource = getattr(view, "view_class", view)
    handler = getattr(resource, method.lower(), resource)
    of_resource = getattr(resource, "access", None)
    if method not in SAFE_METHODS:
        of_resource = getattr(resource, "write_access", None) or of_resource
    words = getattr(handler, "access", None) or of_resource or row
    try:
        return rule_of(words or "")
    except ValueError as error:
        name = getattr(resource, "__qualname__", resource)
        known = ", ".join(sorted(ACCESS))
        told = f"{method} of {name} states access {words!r}; the words are: {known}"
        raise LookupError(told) from error


def access(words: str) -> Callable[[Any], Any]:
    """State who may call a view function, a resource or one of its methods.

    :param words: of :data:`ACCESS`, combined with ``|`` and ``&``.
    """

    def mark(view: Any) -> Any:
        view.access = words
        return view

    return mark


#: State that anybody may call a view function, a resource or one of its methods.
public = access("public")
