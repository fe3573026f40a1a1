"""Whether the tables are those of this code: the newest migration in the tree beside
the one that the database has."""

import re
from functools import cache
from pathlib import Path

from flask import current_app
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from myapp.core.stores.sql.engine import rows

VERSION_FILE = re.compile(r"(\d{4})_\w+\.py")
ASKED = text("SELECT version_num FROM alembic_version")


def difference_of_time() -> str:
    """What to do when the database and this code are not of one time; empty when they
    are. It costs one statement."""
    here, known = numbers()
    if here == known:
        return ""
    if here is None:
        return "the database has no tables of this application: run flask db upgrade"
    if here > known:
        return (
            f"the database is at migration {here}, and this code knows {known}: update "
            f"the code, or run flask db downgrade {known} with the newer code"
        )
    told = f"the database is at migration {here or 'nothing'}, and this code at {known}"
    return f"{told}: run flask db upgrade"


def is_ahead() -> bool:
    """Whether the database has migrations that this code has not."""
    here, known = numbers()
    return here is not None and here > known


def numbers() -> tuple[str | None, str]:
    """The newest migration of the database and that of this code; the first is empty
    before the first migration, and ``None`` when there is no table of migrations."""
    known = newest_in(str(Path(current_app.root_path).parent / "migrations"))
    try:
        found = rows(ASKED)
    except SQLAlchemyError:
        return None, known
    return (str(found[0][0]) if found else ""), known


@cache
def newest_in(folder: str) -> str:
    """The number of the newest migration in a folder; empty without one."""
    names = [
        VERSION_FILE.fullmatch(path.name) for path in Path(folder, "versions").glob("*")
    ]
    return max((name[1] for name in names if name), default="")
