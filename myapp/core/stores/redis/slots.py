"""Where the keys of a model in Redis lie: its name, and the slots of a cluster."""

import re
from contextlib import suppress
from typing import Any, ClassVar
from zlib import crc32

from myapp.core.model.idempotency_store import RequestKey
from myapp.core.model.key import Key
from myapp.core.query.filters import sort_key
from myapp.core.stores.state import request_state

# Braces, a colon or a slash would be read as a part of the keys.
NAME = re.compile(r"[\w.-]+", re.ASCII)
# More slots cost more for each list, and there are seldom more nodes.
MOST_SLOTS = 1024
# The place of the class by the name of each model in Redis.
NAMED: dict[str, str] = {}


class Slots:
    """The part of a model in Redis that names its keys; ``unit.py`` lists them."""

    #: The name at the start of its keys.
    name: ClassVar[str]
    #: In a cluster, a request writes to models of one slot: those that state the same
    #: text here. By default a model has a slot of its own.
    slot: ClassVar[str] = ""
    #: The number of slots over which its records are spread, by their ids. With more
    #: than one, a request writes to one record, so there is no batch, and no unique
    #: field but the id, which the server makes; a list is read from each of them.
    slots: ClassVar[int] = 1

    key: ClassVar[Key]
    unique: ClassVar[tuple[str, ...]]
    has_batch: ClassVar[bool]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a name of another model, whose keys would be mixed with its own, and
        what several slots cannot keep.

        :raises TypeError: with the reason.
        """
        super().__init_subclass__(**kwargs)
        if "name" in cls.__dict__:
            said = "takes letters, digits, _, . and -"
            if not NAME.fullmatch(cls.name):
                raise TypeError(f"{cls.__name__}.name {said}")
            if cls.slot and not NAME.fullmatch(cls.slot):
                raise TypeError(f"{cls.__name__}.slot {said}")
            if type(cls.slots) is not int or not 1 <= cls.slots <= MOST_SLOTS:
                raise TypeError(f"{cls.__name__}.slots is not 1 to {MOST_SLOTS}")
            place = f"{cls.__module__}.{cls.__qualname__}"
            other = NAMED.setdefault(cls.name, place)
            if other != place:
                raise TypeError(f"{place} has the name of {other}: {cls.name}")
        if cls.slots > 1:
            cls.has_batch = False
            if cls.slot or cls.unique or not cls.key.make:
                raise TypeError(
                    f"{cls.__name__}: a model in several slots has no slot in common "
                    "with others, no unique fields, and ids that the server makes"
                )

    @classmethod
    def prefix(cls) -> str:
        """The start of its keys; the braces put all keys into one slot of a cluster."""
        return f"{{{cls.slot}}}{cls.name}:" if cls.slot else f"{{{cls.name}}}:"

    @classmethod
    def prefixes(cls) -> list[str]:
        """The start of its keys in each of its slots."""
        if cls.slots == 1:
            return [cls.prefix()]
        return [f"{{{cls.name}/{number}}}:" for number in range(cls.slots)]

    @classmethod
    def prefix_of(cls, place: str) -> str:
        """The start of the keys where a record lies, or a response is kept.

        :param place: the text of its id.
        """
        if cls.slots == 1:
            return cls.prefix()
        return f"{{{cls.name}/{crc32(place.encode()) % cls.slots}}}:"

    @classmethod
    def home_of(cls, key: RequestKey) -> str:
        """The start of the keys where the response to a request is kept: beside the
        record that the request writes, so that one script writes both."""
        if cls.slots == 1:
            return cls.prefix()
        home = cls.prefix_of(key.id)
        if key.record:
            with suppress(ValueError):
                home = cls.prefix_of(cls.place(cls.key.read(key.record)))
        request_state().homes[cls.name] = home
        return home

    @classmethod
    def place(cls, id: Any) -> str:
        """The text of an id in keys and indexes, which sorts as the ids do. No id is
        taken for another key of the model, because only UUIDs stand there unmarked."""
        return str(id) if cls.key.is_uuid else f"={sort_key(id)}"


def is_spread(prefix: str) -> bool:
    """Whether the keys with a prefix are those of one of several slots of a model. Such
    writes are refused on one server as in a cluster, so that the code does not depend
    on the server."""
    return "/" in prefix


def name_of_model(prefix: str) -> str:
    """The name of the model in ``{name}:``, ``{slot}name:`` or ``{name/7}:``."""
    braced, _, after = prefix.strip("{:").rpartition("}")
    return after or braced.partition("/")[0]
