"""The table of who may call which route, which ``myapp/test_matrix.py`` tries."""

from collections.abc import Iterable

from myapp.core.access.caller import Caller, roles_up_to
from myapp.core.access.rules import rule_of

#: The callers of the table with their roles; the first one has not said who it is. The
#: record of a route belongs to the owner, or to the team of the member and the leader.
CALLERS = {
    "anonymous": "",
    "disabled": "disabled",
    "owner": "readonly",
    "other": "readonly",
    "member": "readonly",
    "leader": "readonly",
    "editor": "editor",
    "admin": "admin",
    "superuser": "superuser",
}
#: Tokens of the owner: one with the scope of the route, one with another scope.
TOKENS = ("token", "no_scope")
#: The statuses that refuse a caller.
REFUSALS = (401, 403, 404)
# The routes of a model, below its prefix.
ROUTES = {
    "": ("GET", "POST"),
    "<id>": ("GET", "PUT", "PATCH", "DELETE"),
    "batch": ("POST",),
}
HEAD = """\
# Who may call: ok, the status that refuses, or none for a list without the record,
# which belongs to the owner. Owner, other, member and leader have the role readonly.
# The last two are tokens of the owner, with and without the scope of the route.
# MATRIX=write pytest myapp/test_matrix.py writes this.
"""

Row = tuple[str, str, list[str]]


def lines_of(rows: Iterable[Row]) -> str:
    """The text of the table.

    :param rows: the method, the route and the cells of each line.
    """
    known = [*rows]
    width = max((len(route) for _, route, _ in known), default=0)
    lines = [line("method", "route".ljust(width), [*CALLERS, *TOKENS])]
    lines += [line(method, route.ljust(width), cells) for method, route, cells in known]
    return HEAD + "".join(lines)


def line(method: str, route: str, cells: Iterable[str]) -> str:
    """One line of the table."""
    padded = " ".join(f"{cell:<9}" for cell in cells)
    return f"{method:<7} {route} {padded}".rstrip() + "\n"


def matrix_of(prefix: str, words: str, write_words: str = "") -> str:
    """The table of a new feature with the routes of one model.

    :param words: its access words.
    :param write_words: those of writing, when they are others.
    """
    words_for = {"GET": words}
    rows = [
        (
            method,
            f"{prefix}/{last}",
            cells_of(words_for.get(method, write_words or words), method, last),
        )
        for last, methods in ROUTES.items()
        for method in methods
    ]
    return lines_of(sorted(rows, key=lambda row: (row[1], row[0])))


def cells_of(words: str, method: str, last: str) -> list[str]:
    """What each caller gets from a route of a model.

    :param last: the end of its path.
    """
    rule, cells = rule_of(words), []
    for name, role in CALLERS.items():
        caller = Caller(name, roles_up_to(role)) if role else None
        caller = None if caller is None or caller.is_disabled else caller
        refusal = "403" if caller else "401"
        if rule.allows(caller) and set() not in rule.wanted(caller):
            # The record is there for its owner alone.
            hidden = {"<id>": "404", "": "none" if method == "GET" else "ok"}
            cells.append("ok" if name == "owner" else hidden.get(last, "ok"))
        else:
            cells.append("ok" if rule.allows(caller) else refusal)
    is_public = rule.allows(None)
    token = Caller("owner", roles_up_to(CALLERS["owner"]), frozenset({"x"}))
    passes = cells[[*CALLERS].index("owner")]
    cells.append(passes if rule.allows(token) else "403")
    cells.append(passes if is_public else "403")
    return cells
