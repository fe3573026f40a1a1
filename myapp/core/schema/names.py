"""The names of schemas and operations in documents for clients."""

import re

from myapp.core.schema.strict_json import JSON


def model_name(schema: JSON) -> str:
    """The name of a schema in a document: the last part of its ``$id``."""
    name: str = schema["$id"].rpartition("/")[2].removesuffix(".json")
    return name.replace(".", "_")


def snake(name: str) -> str:
    """``MovieStats`` and ``movie-stats`` as ``movie_stats``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return words.replace("-", "_").lower()
