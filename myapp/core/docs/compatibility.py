"""Compatibility: finds the changes that break clients of a released description.

A client of the old description must work with the new description: the server still
accepts what the client sends, and the client still knows what it gets. So the schema of
a request may only accept more, and the schema of a response may only allow less: no new
type, no new value. New paths, fields and statuses are compatible. Changed bounds in a
response are compatible too, because no generated client relies on them. The names of
operations and components are names in generated clients.

Written here because the existing tools are programs in other languages, and the Python
libraries stop at draft-04 of JSON Schema.
"""

from collections.abc import Iterator
from typing import Any

from myapp.core.docs.keywords import Break, branches_of, differences
from myapp.core.schema.strict_json import JSON


def find_breaks(old: JSON, new: JSON) -> list[Break]:
    """The breaks between an old and a new document.

    :param old: an OpenAPI 3.1 document whose references are to its components.
    """
    comparison = Comparison(old, new)
    found: list[Break] = []
    for path, operations in old["paths"].items():
        for method, operation in operations.items():
            there = new["paths"].get(path, {}).get(method)
            where = f"{method.upper()} {path}"
            if there is None:
                found.append((where, "is gone"))
            else:
                found += comparison.operation(where, operation, there)
    components = [one.get("components", {}).get("schemas", {}) for one in (old, new)]
    for name in components[0]:
        if name not in components[1]:
            # A generated client has a class with this name.
            found.append((f"component {name}", "is gone"))
    return list(dict.fromkeys(found))


def is_accepted(old: JSON, security: list[JSON]) -> bool:
    """Whether each way in which clients of an old operation say who they are is still
    one of the ways of the new operation, without another scope."""
    return bool(old.get("security")) and all(
        any(
            way.keys() == one.keys()
            and all(set(way[key]) <= set(one[key]) for key in one)
            for way in security
        )
        for one in old["security"]
    )


class Comparison:
    """Compares two documents, part by part.

    Each method yields the breaks of one part, with their places.
    """

    def __init__(self, old: JSON, new: JSON) -> None:
        self.old, self.new = old, new
        # The pairs of components that are being compared now; schemas may be circular.
        self.open: set[tuple[str, str, bool]] = set()

    def operation(self, where: str, old: JSON, new: JSON) -> Iterator[Break]:
        """One method of one path."""
        if new.get("security") and not is_accepted(old, new["security"]):
            yield where, f"asks for other credentials: {new['security']}"
        name = old.get("operationId")
        if name is not None and name != new.get("operationId"):
            yield where, f"its operationId is {new.get('operationId')}, was {name}"
        yield from self.parameters(where, old, new)
        yield from self.body(f"{where} body", old, new)
        for status, answer in old["responses"].items():
            place = f"{where} {status}"
            if status in new["responses"]:
                yield from self.answer(place, answer, new["responses"][status])
            else:
                yield place, "is gone"

    def parameters(self, where: str, old: JSON, new: JSON) -> Iterator[Break]:
        """The parameters of the path, the query and the headers."""
        before, after = by_name(old), by_name(new)
        for key, parameter in before.items():
            place = f"{where} {key[0]} {key[1]}"
            if key not in after:
                yield place, "is gone"
                continue
            there = after[key]
            if there.get("required") and not parameter.get("required"):
                yield place, "is now required"
            yield from self.schema(place, parameter["schema"], there["schema"], True)
        for key in after.keys() - before.keys():
            if after[key].get("required"):
                yield f"{where} {key[0]} {key[1]}", "is new and required"

    def body(self, where: str, old: JSON, new: JSON) -> Iterator[Break]:
        """The bodies that a request may carry."""
        before, after = old.get("requestBody"), new.get("requestBody")
        if after and after.get("required") and not (before and before.get("required")):
            yield where, "is now required"
        if before and after:
            yield from self.content(where, before["content"], after["content"], True)
        elif before:
            yield where, "is gone"

    def answer(self, where: str, old: JSON, new: JSON) -> Iterator[Break]:
        """The response with one status."""
        for name, header in old.get("headers", {}).items():
            there = new.get("headers", {}).get(name)
            if there is None:
                yield f"{where} header {name}", "is gone"
            elif header.get("required") and not there.get("required"):
                yield f"{where} header {name}", "may now be missing"
        content = old.get("content", {}), new.get("content", {})
        yield from self.content(where, *content, False)

    def content(self, where: str, old: JSON, new: JSON, sent: bool) -> Iterator[Break]:
        """The bodies by media type."""
        for kind, body in old.items():
            if kind in new:
                yield from self.schema(where, body["schema"], new[kind]["schema"], sent)
            else:
                yield f"{where} {kind}", "is gone"

    def schema(self, where: str, old: Any, new: Any, sent: bool) -> Iterator[Break]:
        """Two schemas.

        :param sent: whether clients send the described value; else they receive it.
        """
        names = old.get("$ref", ""), new.get("$ref", "")
        pair = (*names, sent)
        if pair in self.open:
            return
        if any(names):
            self.open.add(pair)
        old, new = dereferenced(self.old, old), dereferenced(self.new, new)
        yield from differences(where, old, new, sent)
        yield from self.members(where, old, new, sent)
        yield from self.branches(where, old, new, sent)
        self.open.discard(pair)

    def members(self, where: str, old: JSON, new: JSON, sent: bool) -> Iterator[Break]:
        """The members of an object, and the items of an array."""
        after = new.get("properties", {})
        anything = sent and not after and new.get("additionalProperties", True)
        fields = {} if anything else old.get("properties", {})
        for name, field in fields.items():
            if name in after:
                yield from self.schema(f"{where} /{name}", field, after[name], sent)
            else:
                yield f"{where} /{name}", "is gone"
        for keyword in ("items", "additionalProperties"):
            one, other = old.get(keyword, True), new.get(keyword, True)
            if one is not other and False not in (one, other):
                one, other = ({} if part is True else part for part in (one, other))
                yield from self.schema(f"{where} /*", one, other, sent)

    def branches(self, where: str, old: JSON, new: JSON, sent: bool) -> Iterator[Break]:
        """The alternatives of ``anyOf`` and ``oneOf``."""
        before, after = branches_of(old), branches_of(new)
        if len(before) == len(after) == 1:
            return
        # In a request, each old branch must still be accepted. In a response, clients
        # must know each new branch.
        needed, known = (before, after) if sent else (after, before)
        for one in needed:
            pairs = [(one, other) if sent else (other, one) for other in known]
            if all([*self.schema(where, *pair, sent)] for pair in pairs):
                verb = "is no longer taken" if sent else "is a new alternative"
                yield where, f"{branch_name(one)} {verb}"


def by_name(operation: JSON) -> dict[tuple[str, str], JSON]:
    """The parameters of an operation, by ``in`` and ``name``."""
    return {(one["in"], one["name"]): one for one in operation.get("parameters", ())}


def dereferenced(document: JSON, schema: Any) -> JSON:
    """The schema that a reference leads to, or the schema itself."""
    while "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        schema = document["components"]["schemas"][name]
    return dict(schema)


def branch_name(schema: JSON) -> str:
    """A branch in a few words."""
    return str(schema.get("$ref", "").rpartition("/")[2] or schema.get("type", schema))
