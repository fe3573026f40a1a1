"""The bodies, parameters and responses of a route, stated with :func:`describe`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import update_wrapper
from typing import Any

from myapp.core.schema.strict_json import JSON

View = Callable[..., Any]


@dataclass(frozen=True)
class Description:
    """The bodies, parameters and responses of a view function.

    :param responses: the schema of the body by status, ``None`` for no body.
    :param errors: the statuses of the problems that it may raise.
    :param body: the schema of the request's body.
    :param other_bodies: the schemas of bodies of other media types than JSON.
    :param query: the schema of each parameter of the query.
    :param parts: the schemas to which these refer, when no other route describes them.
    :param id: the name of the operation in clients; empty for a name from its class.
    :param summary: one line about it; empty for its docstring.
    """

    responses: Mapping[int, JSON | None]
    errors: tuple[int, ...] = (400,)
    body: JSON | None = None
    other_bodies: Mapping[str, JSON] = field(default_factory=dict)
    query: Mapping[str, JSON] = field(default_factory=dict)
    parts: tuple[JSON, ...] = ()
    id: str = ""
    summary: str = ""

    def knows(self, status: int) -> bool:
        """Whether a status is described. A 5xx, a 405 and a 429 need no description: a
        405 says that the path belongs to another route, a 429 is of RATE_LIMITS."""
        described = status in self.responses or status in self.errors
        return described or status in (405, 429) or status >= 500

    def schemas(self) -> list[JSON]:
        """Every schema that it names."""
        named = [self.body, *self.other_bodies.values(), *self.responses.values()]
        named += self.parts
        return [schema for schema in named if schema is not None]


class Described:
    """A view function with its description.

    In the body of a class it adds the description to ``descriptions`` of the class, and
    the function takes its place; see :class:`myapp.core.rest.Resource`.

    :param function: the view function.
    """

    access: str

    def __init__(self, function: View, description: Description) -> None:
        self.function = function
        self.description = description
        update_wrapper(self, function)
        if description.summary:
            function.__doc__ = description.summary

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.function(*args, **kwargs)

    def __set_name__(self, owner: Any, name: str) -> None:
        owner.descriptions = {**owner.descriptions, name: self.description}
        if "access" in self.__dict__:
            setattr(self.function, "access", self.access)
        setattr(owner, name, self.function)


def describe(
    responses: Mapping[int, JSON | None], **more: Any
) -> Callable[[View], Described]:
    """State the bodies, parameters and responses of a view function; see
    :class:`Description`.

    The documents show them, and the test client checks every response against them.
    """
    description = Description(responses, **more)
    return lambda view: Described(view, description)


def description_of(view: View, method: str) -> Description | None:
    """The description of one method of a view function, or ``None``.

    :param view: a view function of the application, made from a class or not.
    :param method: in upper case; HEAD has the description of GET.
    """
    own: Description | None = getattr(view, "description", None)
    if own is not None:
        return own if method != "OPTIONS" else None
    descriptions = getattr(getattr(view, "view_class", None), "descriptions", {})
    found: Description | None = descriptions.get(
        "get" if method == "HEAD" else method.lower()
    )
    return found
