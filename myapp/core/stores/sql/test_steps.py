"""What breaks the release before a migration: the check says it, and so does the code
of this release on the tables of the next one."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient
from flask_migrate import upgrade

from myapp.core.http.app import App
from myapp.core.stores.sql.steps import breaks_in
from myapp.core.stores.sql.test_migrations import revisions, written
from myapp.core.testing import calling

BATCH = 'with op.batch_alter_table("catalog_directors") as batch:\n    batch.'
KEPT = {
    "a nullable column": 'add_column(sa.Column("a", sa.Integer(), nullable=True))',
    "a default": 'add_column(sa.Column("a", sa.Integer(), nullable=False, '
    'server_default="0"))',
    "an index": 'create_index("ix_planted", ["country"])',
    "optional": 'alter_column("name", existing_type=sa.String(200), nullable=True)',
}
BROKEN = {
    "drops column": 'drop_column("country")',
    "adds the required column": 'add_column(sa.Column("a", sa.Integer(), '
    "nullable=False))",
}
RENAME = 'op.rename_column("catalog_directors", "country", "land")'


def works(app: App) -> bool:
    """Whether this code can write and read a director."""
    with calling(app, "ed editor") as client:
        url, body = "/catalog/directors/", {"name": "Varda", "country": "BE"}
        made = FlaskClient.open(client, url, method="POST", json=body)
        return made.status_code == 201 and client.get(url).json["items"] != []


@pytest.mark.parametrize("name", KEPT)
def test_a_step_that_only_adds_keeps_the_release_before(
    own_app: App, tmp_path: Path, name: str
) -> None:
    with written(own_app, tmp_path / "migrations", BATCH + KEPT[name]) as folder:
        upgrade(directory=folder)
        assert breaks_in(newest(folder)) == []
    assert works(own_app)


@pytest.mark.parametrize("name", [*BROKEN, "renames column"])
def test_a_step_that_breaks_it_is_found(
    own_app: App, tmp_path: Path, name: str
) -> None:
    code = BATCH + 'drop_index("ix_catalog_directors_country_id")\n'
    code += RENAME if name == "renames column" else BATCH + BROKEN[name]
    with written(own_app, tmp_path / "migrations", code) as folder:
        upgrade(directory=folder)
        (told,) = breaks_in(newest(folder))
    assert name in told
    assert not works(own_app)


def newest(folder: str) -> Path:
    """The migration that a test has written."""
    return sorted(Path(folder, "versions").glob("*.py"))[-1]


def test_a_migration_may_say_why_it_breaks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    text = "def upgrade():\n    op.drop_table('a')\n"
    path.write_text(text)
    assert breaks_in(path) == ["a.py: drops table 'a'"]
    path.write_text(f'accepted_break = "no release has it"\n{text}')
    assert breaks_in(path) == []
    path.write_text("def downgrade():\n    op.drop_table('a')\n")
    assert breaks_in(path) == []


def test_this_tree_passes(app: App) -> None:
    done = app.test_cli_runner().invoke(args=["check-migrations"])
    assert done.exit_code == 0, done.output
    assert revisions()
