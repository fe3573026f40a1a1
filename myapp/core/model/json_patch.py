"""JSON Patch, RFC 6902, with limits on the size and cost of a patch.

Written here because the existing library shows stored values in its errors and does not
limit the size of copies. ``remove`` with a ``value`` is an extension, see
:func:`remove`.
"""

from collections.abc import Callable
from typing import Any

import orjson

from myapp.core.errors.pointers import pointer, problem_at
from myapp.core.errors.problem import Problem
from myapp.core.schema.strict_json import JSON, JSONRefused, check_depth


def apply(document: JSON, patch: Any, max_size: int) -> Any:
    """The result of a JSON Patch on a document, RFC 6902 section 4.

    :param document: plain JSON; it is not changed.
    :param patch: a patch that :func:`check_operations` has accepted.
    :param max_size: the maximum size of the result, and of all copies, in bytes.
    :raises Problem: 409 when an operation does not fit the document, 413 when the
        document becomes too large.
    """
    root = Root(duplicate(document), max_size)
    for number, operation in enumerate(patch):
        try:
            OPERATIONS[operation["op"]](root, operation)
        except PatchConflict as error:
            where = problem_at(pointer(number), str(error), "patch")
            raise Problem(
                "conflict", "The patch does not fit the record.", errors=[where]
            ) from error
    root.check_size()
    return root.value


# The maximum number of values that a patch may compare.
MAX_STEPS = 100_000


class PatchConflict(Exception):
    """An operation does not fit the document; the text never shows what is stored."""


class Root:
    """A document that is being patched.

    :param budget: the maximum size of all copies together, in bytes.
    """

    def __init__(self, value: Any, budget: int) -> None:
        self.value = value
        self.budget = self.limit = budget
        self.steps = MAX_STEPS

    def get(self, path: str) -> Any:
        """The value at a pointer."""
        value = self.value
        for token in split(path):
            value = value[locate(value, token)]
        return value

    def add(self, path: str, value: Any) -> None:
        """Insert into an array, set a member, or replace the root: section 4.1."""
        tokens = split(path)
        if not tokens:
            self.value = value
            return
        parent = self.get(path.rpartition("/")[0])
        if isinstance(parent, list):
            last = tokens[-1]
            index = len(parent) if last == "-" else locate(parent, last, 1)
            parent.insert(int(index), value)
        elif isinstance(parent, dict):
            parent[tokens[-1]] = value
        else:
            raise PatchConflict("there is nothing at this path")

    def remove(self, path: str) -> Any:
        """Remove the value at a pointer, section 4.2; returns the value."""
        tokens = split(path)
        if not tokens:
            value, self.value = self.value, None
            return value
        parent = self.get(path.rpartition("/")[0])
        key = locate(parent, tokens[-1])
        return parent.pop(key)

    def copied(self, value: Any) -> Any:
        """A deep copy; its size is subtracted from the budget."""
        self.budget -= self.size_of(value)
        if self.budget < 0:
            raise Problem("too-large", "The patch makes the record too large.")
        return duplicate(value)

    def size_of(self, value: Any) -> int:
        """The size of a value as JSON, in bytes.

        :raises Problem: 413 when it is too large, or nested too deep to be stored.
        """
        try:
            return len(orjson.dumps(value))
        except orjson.JSONEncodeError as error:
            raise Problem(
                "too-large", "The patch nests the record too deep."
            ) from error

    def check_size(self) -> None:
        """Check the result against the limits of a body.

        :raises Problem: 413.
        """
        if self.size_of(self.value) > self.limit:
            raise Problem("too-large", "The patch makes the record too large.")
        try:
            check_depth(orjson.dumps(self.value))
        except JSONRefused as error:
            raise Problem(
                "too-large", "The patch nests the record too deep."
            ) from error

    def equal(self, one: Any, other: Any) -> bool:
        """Whether two values are equal as JSON: 1 equals 1.0, and true does not.

        :raises Problem: 413 when the patch compares too much.
        """
        self.steps -= 1
        if self.steps < 0:
            raise Problem("too-large", "The patch compares too many values.")
        if isinstance(one, dict) and isinstance(other, dict):
            return one.keys() == other.keys() and all(
                self.equal(one[name], other[name]) for name in one
            )
        if isinstance(one, list) and isinstance(other, list):
            return len(one) == len(other) and all(map(self.equal, one, other))
        if isinstance(one, bool) or isinstance(other, bool):
            return one is other
        return type(one) is type(other) and one == other or numeric_equal(one, other)


def duplicate(value: Any) -> Any:
    """A deep copy, so that later operations change neither the record nor the patch,
    which may be applied again."""
    return orjson.loads(orjson.dumps(value))


def split(path: str) -> list[str]:
    """The tokens of a JSON Pointer, RFC 6901."""
    return [
        token.replace("~1", "/").replace("~0", "~") for token in path.split("/")[1:]
    ]


def locate(parent: Any, token: str, beyond: int = 0) -> Any:
    """The key of a token in an object or an array.

    :param beyond: how far after the last item an index may point.
    """
    if isinstance(parent, dict) and token in parent:
        return token
    if isinstance(parent, list) and token.isascii() and token.isdigit():
        plain = token == "0" or not token.startswith("0")
        if plain and len(token) < 10 and int(token) < len(parent) + beyond:
            return int(token)
    raise PatchConflict("there is nothing at this path")


def add(root: Root, operation: JSON) -> None:
    """The operation ``add``."""
    root.add(operation["path"], duplicate(operation["value"]))


def remove(root: Root, operation: JSON) -> None:
    """The operation ``remove``. With a ``value``, which RFC 6902 ignores, and an array
    at its path, it removes the first item that equals the value."""
    if "value" not in operation:
        root.remove(operation["path"])
        return
    items = root.get(operation["path"])
    if not isinstance(items, list):
        root.remove(operation["path"])
        return
    for index, item in enumerate(items):
        if root.equal(item, operation["value"]):
            del items[index]
            return
    raise PatchConflict("there is no such item in the array")


def replace(root: Root, operation: JSON) -> None:
    """The operation ``replace``: the target must exist."""
    tokens = split(operation["path"])
    if not tokens:
        root.value = duplicate(operation["value"])
        return
    parent = root.get(operation["path"].rpartition("/")[0])
    parent[locate(parent, tokens[-1])] = duplicate(operation["value"])


def move(root: Root, operation: JSON) -> None:
    """The operation ``move``: a value cannot be moved into itself."""
    path, source = operation["path"], operation["from"]
    if path.startswith(f"{source}/"):
        raise PatchConflict("a value cannot be moved into itself")
    root.add(path, root.remove(source))


def copy(root: Root, operation: JSON) -> None:
    """The operation ``copy``."""
    root.add(operation["path"], root.copied(root.get(operation["from"])))


def test(root: Root, operation: JSON) -> None:
    """The operation ``test``; its error does not show the stored value."""
    if not root.equal(root.get(operation["path"]), operation["value"]):
        raise PatchConflict("the value is different")


OPERATIONS: dict[str, Callable[[Root, JSON], None]] = {
    "add": add,
    "remove": remove,
    "replace": replace,
    "move": move,
    "copy": copy,
    "test": test,
}


def numeric_equal(one: Any, other: Any) -> bool:
    """Whether two values are the same number."""
    numbers = isinstance(one, (int, float)) and isinstance(other, (int, float))
    return numbers and bool(one == other)
