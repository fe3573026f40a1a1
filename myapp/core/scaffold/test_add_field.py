"""New fields in the text of a model and of its factory."""

import ast
from pathlib import Path
from typing import Any

import pytest

from myapp.core.http.app import App
from myapp.core.scaffold.add_field import edit_models, edits_of_factory
from myapp.core.scaffold.code import applied
from myapp.core.scaffold.fields import FieldError, Fields
from myapp.core.stores.sql.model import SqlModel
from myapp.core.stores.sql.scaffold import SqlScaffold

MODELS = '''"""Crates."""

from sqlalchemy.orm import Mapped, mapped_column

from myapp.core.stores.sql import SqlModel, Varchar


class Crate(SqlModel):
    """A crate: ü."""

    __tablename__ = "crates"
    filterable = ("größe",)
    searchable = ("größe", )

    write_schema = {
        "properties": {"größe": {"type": "string", "maxLength": 9}},
        "required": [],
        "examples": [{"größe": "ü"}, {}],
    }

    größe: Mapped[str] = mapped_column(Varchar(9))

    def hello(self) -> str:
        return "ü"
'''


class Crate:
    """Its name alone counts."""


def gathered(*texts: str) -> Fields:
    """The new fields."""
    found = Fields(SqlModel)
    for text in texts:
        found.add_text(text)
    return found


def value_of(text: str, name: str) -> Any:
    """The value of a declaration in the class of a text."""
    (found,) = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    (value,) = [
        part.value
        for part in found.body
        if isinstance(part, ast.Assign) and ast.unparse(part.targets[0]) == name
    ]
    return ast.literal_eval(value)


def test_a_field_is_put_where_new_feature_would_have_put_it(
    app: App, tmp_path: Path
) -> None:
    path = tmp_path / "models.py"
    path.write_text(MODELS)
    fields = gathered("due:date?", "note:string(20)", "size:integer")
    model: Any = Crate
    text = edit_models(path, model, SqlScaffold(), fields)
    schema = value_of(text, "write_schema")
    assert [*schema["properties"]] == ["größe", "due", "note", "size"]
    assert schema["required"] == ["note", "size"]
    assert [*schema["examples"][0]] == ["größe", "due", "note", "size"]
    assert [*schema["examples"][1]] == ["due", "note", "size"]
    assert schema["examples"][0] != schema["examples"][1]
    assert value_of(text, "filterable") == ("größe", "due", "note", "size")
    assert value_of(text, "searchable") == ("größe", "note")
    assert "    due: Mapped[date | None] = mapped_column(Date)\n" in text
    assert (
        "from datetime import date\n\nfrom sqlalchemy import BigInteger, Date" in text
    )
    assert text.count("from myapp.core.stores.sql import") == 1
    assert text.index("size: Mapped[int]") < text.index("def hello")


@pytest.mark.parametrize("name", ["BODIES", "OTHER_BODIES = ()\nCRATE_BODIES"])
def test_the_bodies_of_the_factory_have_the_field(
    app: App, tmp_path: Path, name: str
) -> None:
    model: Any = Crate
    path = tmp_path / "factories.py"
    text = (
        f'{name}: Any = (\n    {{"a": "ü"}},\n    {{\n        "a": "b",\n    }},\n)\n'
    )
    path.write_text(text)
    edits = [*edits_of_factory(path, model, gathered("due:date", "open:boolean"))]
    found = ast.literal_eval(applied(text, edits).rpartition("= ")[2])
    assert [[*one] for one in found] == [["a", "due", "open"]] * 2
    assert found[0]["due"] != found[1]["due"]
    assert [*edits_of_factory(tmp_path / "none.py", model, gathered("due:date"))] == []


def test_a_model_of_another_form_is_refused(app: App, tmp_path: Path) -> None:
    path = tmp_path / "models.py"
    path.write_text("class Crate:\n    write_schema = made()\n")
    model: Any = Crate
    with pytest.raises(FieldError, match="does not state the properties"):
        edit_models(path, model, SqlScaffold(), gathered("due:date?"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nothing", "due:date"], "there is no feature nothing"),
        (["catalog", "due:date"], "say one of: catalog.movies, catalog.directors"),
        (["catalog.actors", "due:date"], "say one of: catalog.movies"),
        (["catalog.movies", "title:string"], "Movie has title already"),
        (["catalog.movies", "due:day"], "is not like name:type"),
    ],
)
def test_what_cannot_be_added_is_told(
    app: App, arguments: list[str], told: str
) -> None:
    done = app.test_cli_runner().invoke(args=["add-field", *arguments])
    assert done.exit_code == 1 and told in done.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["catalog.movies", "stars:integer"], "the factory would lack stars"),
        (["carts", "stars:integer"], "a stored record would lack stars"),
        (["carts", "stars:integer?", "--value", "stars=1"], "that exist get no value"),
        (["catalog.movies", "stars:integer?", "--value", "x=1"], "names no new field"),
    ],
)
def test_no_record_is_left_without_a_required_field(
    app: App, arguments: list[str], told: str
) -> None:
    done = app.test_cli_runner().invoke(args=["add-field", *arguments])
    assert done.exit_code == 1 and told in done.output
