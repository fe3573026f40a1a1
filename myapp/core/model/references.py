"""References to records that no foreign key checks: to or from a model in Redis."""

from collections.abc import Iterable

from myapp.core.errors.pointers import pointer, problem_at
from myapp.core.errors.problem import Problem
from myapp.core.model.record import Documents, Relation


def refers_to_nothing(fields: Iterable[str]) -> Problem:
    """The problem of fields that hold the id of a record that does not exist."""
    return Problem(
        "unprocessable",
        "The body refers to a record that does not exist.",
        errors=[
            problem_at(pointer(field), "refers to nothing", "reference")
            for field in fields
        ],
    )


def check_references(
    relations: Iterable[Relation], documents: Documents, model: object
) -> None:
    """Check that the records to which documents refer exist now, or are among them;
    they can still be deleted later.

    :param model: that of the documents.
    :raises Problem: 422; its ``index`` is the index of the document.
    """
    for relation in relations:
        ids = [document[relation.field] for document in documents]
        wanted = [id for id in dict.fromkeys(ids) if id is not None]
        found = relation.model.read(wanted) if wanted else []
        new = documents if relation.model is model else []
        missing = set(wanted) - {one["id"] for one in [*found, *new]}
        for index, id in enumerate(ids if missing else ()):
            if id in missing:
                problem = refers_to_nothing([relation.field])
                problem.index = index
                raise problem
