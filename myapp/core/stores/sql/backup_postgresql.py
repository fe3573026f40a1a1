"""Backups of PostgreSQL: what its programs need, and a restore in one transaction."""

import re
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import URL

from myapp.core.backup.part import run
from myapp.core.stores.sql.engine import rows, sql

POSTGRESQL_FILE = "database.dump"
# Seconds that a restore waits for the locks of others.
PATIENCE = 30
# PostgreSQL: every table that no extension brought; the statements of the dump drop all
# else that they make.
DROP_TABLES = r"""
DO $$ DECLARE name text; BEGIN
FOR name IN
    SELECT format('%I.%I', nspname, relname)
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'p') AND nspname <> 'information_schema'
    AND nspname NOT LIKE 'pg\_%' AND NOT EXISTS (
        SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass
        AND objid = pg_class.oid AND deptype = 'e')
LOOP
    EXECUTE 'DROP TABLE IF EXISTS ' || name || ' CASCADE';
END LOOP;
END $$;
"""
# A grant, unless its role does not exist here.
GRANT = """
DO $grant$ BEGIN
    {statement}
EXCEPTION WHEN undefined_object OR insufficient_privilege THEN NULL;
END $grant$;
"""
# An entry of the table of contents of a dump for an extension.
EXTENSION = re.compile(r" EXTENSION - (\S+) | COMMENT - EXTENSION (\S+) ")


def run_postgresql(program: str, *arguments: str) -> None:
    """Run a program of PostgreSQL on the database."""
    url = sql.engine.url
    password = url.password or url.query.get("password")
    # Not url.set(), for which None means that nothing is changed.
    address = URL.create(
        "postgresql",
        username=url.username,
        host=url.host,
        port=url.port,
        database=url.database,
        query=url.difference_update_query(["password"]).query,
    )
    where = f"--dbname={address.render_as_string(hide_password=False)}"
    more = {"PGOPTIONS": f"-c lock_timeout={PATIENCE}s"}
    if password:
        more["PGPASSWORD"] = str(password)
    run([program, *arguments, where], "postgresql-client", more)


def pg_restore(dump: Path, *options: str) -> None:
    """Read a dump of PostgreSQL; the options tell what to write."""
    run(["pg_restore", "--no-owner", *options, str(dump)], "postgresql-client")


def restore_postgresql(folder: Path) -> None:
    """Replace all that is in a database of PostgreSQL, in one transaction. Extensions
    that it has stay, since their owner is often another role."""
    dump, contents = folder / POSTGRESQL_FILE, folder / "contents"
    pg_restore(dump, "--list", f"--file={contents}")
    entries = contents.read_text().splitlines()
    known = {row[0] for row in rows(text("SELECT extname FROM pg_extension"))}
    grants = [one for one in entries if " ACL " in one]
    others = [one for one in entries if one not in grants and not is_of(known, one)]
    scripts = [folder / name for name in ("drop.sql", "script.sql", "grants.sql")]
    scripts[0].write_text(DROP_TABLES)
    for chosen, script in zip((others, grants), scripts[1:]):
        contents.write_text("\n".join(chosen))
        options = ["--clean", "--if-exists"] if chosen is others else []
        pg_restore(dump, f"--use-list={contents}", *options, f"--file={script}")
    lines = scripts[2].read_text().splitlines()
    granting = [one for one in lines if one.startswith(("GRANT ", "REVOKE "))]
    scripts[2].write_text("".join(GRANT.format(statement=one) for one in granting))
    options = ["--no-psqlrc", "--quiet", "--single-transaction"]
    files = [f"--file={script}" for script in scripts]
    run_postgresql("psql", *options, "--set=ON_ERROR_STOP=1", *files)


def is_of(extensions: set[str], entry: str) -> bool:
    """Whether an entry of a dump makes one of these extensions."""
    found = EXTENSION.search(entry)
    return found is not None and (found[1] or found[2]) in extensions
