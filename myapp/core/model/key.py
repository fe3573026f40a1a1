"""Keys: what the ids of a model are, how they are made, and how they are read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import uuid_utils

from myapp.core.query.filters import parser
from myapp.core.schema.strict_json import JSON
from myapp.core.schema.validator import Validator

# Ids that no URL of a record can have.
NO_IDS = ("", ".", "..", "/", "a/b")


@dataclass(frozen=True)
class Key:
    """What identifies the records of a model, as ``id``.

    :param schema: the JSON Schema of an id: a string or an integer. A string needs a
        ``pattern`` without slashes, and a ``maxLength``; a UUID needs only its format.
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
        object.__setattr__(self, "_convert", parser(self.schema))
        object.__setattr__(self, "_validator", Validator(self.schema))
        if self.schema.get("type") not in ("string", "integer"):
            raise TypeError("a key is a string or an integer")
        if self.schema["type"] == "string" and not self.is_uuid:
            if not {"pattern", "maxLength"} <= set(self.schema):
                raise TypeError("a key of type string needs a pattern and a maxLength")
            wrong = [text for text in NO_IDS if not self._validator.errors(text)]
            if wrong:
                raise TypeError(f"the pattern of a key must not match {wrong[0]!r}")

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
