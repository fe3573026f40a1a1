"""Keys: what the ids of a model are, how they are made, and how they are read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import uuid_utils

from myapp.core.query.filters import parser
from myapp.core.schema.strict_json import JSON
from myapp.core.schema.validator import Validator

# The longest text that every database can index, four bytes a character.
MAX_LENGTH = 255
# What is no last part of a path: with a slash, empty, or one that clients resolve.
NO_PART = {"pattern": r"/|^\.{0,2}$"}


@dataclass(frozen=True)
class Key:
    """What identifies the records of a model, as ``id``.

    :param schema: the JSON Schema of an id: a string or an integer. A string needs a
        ``pattern`` and a ``maxLength``; a UUID needs only its format. Text that cannot
        be the last part of a path is refused in any case.
    :param make: makes the id of a new record. Without it, clients give the id in the
        body of a POST; nothing changes it later.
    :param by_time: whether the ids are UUIDs of version 7, which sort by time.
    :raises TypeError: when an id of this schema could not be in a URL.
    """

    schema: JSON
    make: Callable[[], Any] | None = None
    by_time: bool = False
    _convert: Callable[[str], Any] = field(init=False, repr=False, compare=False)
    _validator: Validator = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        kind = self.schema.get("type")
        if kind not in ("string", "integer"):
            raise TypeError("a key is a string or an integer")
        if kind == "string" and not self.is_uuid:
            if "format" in self.schema:
                raise TypeError("a key of type string has no format, except uuid")
            most = self.schema.get("maxLength", MAX_LENGTH + 1)
            if "pattern" not in self.schema or most > MAX_LENGTH:
                raise TypeError(
                    "a key of type string needs a pattern, and a maxLength of at most "
                    f"{MAX_LENGTH}"
                )
            object.__setattr__(self, "schema", {**self.schema, "not": NO_PART})
        object.__setattr__(self, "_convert", parser(self.schema))
        object.__setattr__(self, "_validator", Validator(self.schema))

    @property
    def is_uuid(self) -> bool:
        """Whether the ids are UUIDs."""
        return bool(self.schema.get("format") == "uuid")

    def parse(self, text: str) -> Any:
        """The id in the text of a URL.

        :raises ValueError: when it is none; its text says what an id is.
        """
        try:
            value = self._convert(text)
        except ValueError as error:
            raise ValueError("must be a UUID" if self.is_uuid else str(error)) from None
        if not self.is_uuid:
            self._refuse(value)
            if str(value) != text:
                raise ValueError("must be written in one way")
        return value

    def read(self, value: Any) -> Any:
        """The id in a JSON value.

        :raises ValueError: as :meth:`parse`.
        """
        if self.is_uuid and isinstance(value, str):
            return self.parse(value)
        self._refuse(value)
        return value

    def _refuse(self, value: Any) -> None:
        for error in self._validator.errors(value):
            raise ValueError(error["detail"])


def make_uuid() -> str:
    """A new UUID of version 7."""
    return str(uuid_utils.uuid7())


#: The key of a model that states no other: a UUID of version 7, made by the server.
UUID_KEY = Key({"type": "string", "format": "uuid"}, make_uuid, by_time=True)
