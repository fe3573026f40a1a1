"""Write an OpenAPI document without its JSON Patches, for openapi-python-client:

    python clients/for_python.py openapi.json clients/openapi-python.json

If a request has several media types, and one of the bodies is a list, version 0.29.1
writes ``isinstance(body, list[...])``, which is a TypeError. The client can use merge
patches instead.
"""

import json
import sys
from pathlib import Path

JSON_PATCH = "application/json-patch+json"


def without_json_patch(text: str) -> str:
    """The document without the bodies that the generated client cannot send."""
    document = json.loads(text)
    for operations in document["paths"].values():
        for operation in operations.values():
            operation.get("requestBody", {}).get("content", {}).pop(JSON_PATCH, None)
    return json.dumps(document)


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(without_json_patch(source.read_text()))
