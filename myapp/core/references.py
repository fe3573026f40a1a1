"""References to records that no foreign key watches: to Redis, or out of it."""

from collections.abc import Iterable

from myapp.core.constraints import refers_to_nothing
from myapp.core.record import Documents, Relation


def check_references(relations: Iterable[Relation], documents: Documents) -> None:
    """Make sure that what documents refer to exists now; nothing keeps it from being
    deleted later.

    :raises Problem: 422, its ``index`` that of the document.
    """
    for relation in relations:
        ids = [document[relation.field] for document in documents]
        wanted = [id for id in dict.fromkeys(ids) if id is not None]
        found = relation.model.read_many(wanted) if wanted else []
        missing = set(wanted) - {one["id"] for one in found}
        for index, id in enumerate(ids if missing else ()):
            if id in missing:
                problem = refers_to_nothing([relation.field])
                problem.index = index
                raise problem
