"""The files of a new feature, from its fields."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from flask import current_app
from jinja2 import Environment, FileSystemLoader

from myapp.core.access.caller import Caller
from myapp.core.access.rules import rule_of
from myapp.core.query.filters import scalar_type
from myapp.core.scaffold.fields import FieldError, Fields
from myapp.core.scaffold.matrix import matrix_of
from myapp.core.scaffold.samples import FORMAT_SAMPLES, sample_bodies
from myapp.core.scaffold.store import Imports, StoreScaffold
from myapp.core.schema.names import snake
from myapp.core.schema.strict_json import JSON

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")), autoescape=False
)
FILES = ("__init__", "endpoints", "models", "factories")
# An index over longer text is larger than MySQL allows.
MAX_INDEXED = 255


class Names(NamedTuple):
    """The names of a feature and its model.

    :param feature: the package, a plural: ``order_lines``.
    :param model: the class, a singular: ``OrderLine``.
    :param plural: of the model, when it is one of several in the feature.
    """

    feature: str
    model: str
    plural: str = ""

    @property
    def many(self) -> str:
        """The plural of the model in lower case."""
        return self.plural or self.feature

    @property
    def url(self) -> str:
        """The URL of the model, without a slash at the end."""
        last = f"/{self.plural.replace('_', '-')}" if self.plural else ""
        return self.url_prefix + last

    @property
    def place(self) -> str:
        """What its table is called."""
        return f"{self.feature}_{self.plural}" if self.plural else self.feature

    @property
    def one(self) -> str:
        """The singular in lower case: ``order_line``."""
        return snake(self.model)

    @property
    def url_prefix(self) -> str:
        """The URL prefix of the feature: ``/order-lines``."""
        return f"/{self.feature.replace('_', '-')}"


def singular(plural: str) -> str:
    """The class name for a plural, by the usual English rules."""
    word = plural
    for end, replacement in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("s", "")):
        if word.endswith(end) and not word.endswith("ss"):
            word = word.removesuffix(end) + replacement
            break
    return "".join(part.title() for part in word.split("_"))


def render_feature(
    names: Names, store: StoreScaffold, fields: Fields, access: str, owned: bool
) -> dict[str, str]:
    """The text of each file of a feature, by name.

    :param access: who may call its routes.
    :param owned: whether each record belongs to the caller who has made it.
    :raises FieldError: when the store cannot hold a field, or the model of a relation
        has no factory.
    """
    context = context_of(names, store, fields, access, owned)
    files = {f"{name}.py": f"{name}.py.jinja" for name in FILES}
    files[f"test_{names.feature}.py"] = "test_feature.py.jinja"
    rendered = {
        name: TEMPLATES.get_template(template).render(context)
        for name, template in files.items()
    }
    return {**rendered, "access.txt": matrix_of(names.url_prefix, access)}


def render_model(
    names: Names, store: StoreScaffold, fields: Fields, access: str, owned: bool
) -> dict[Path, str]:
    """The text of the models, the factories and the test of one more model of a
    feature; see :func:`render_feature`.

    :param access: who may write it.
    """
    context = context_of(names, store, fields, access, owned)
    context |= {"bodies": f"{names.one.upper()}_BODIES"}
    files = {"models": "models", "factories": "factories", "test": "test_feature"}
    return {
        Path(name): TEMPLATES.get_template(f"{template}.py.jinja").render(context)
        for name, template in files.items()
    }


def context_of(
    names: Names, store: StoreScaffold, fields: Fields, access: str, owned: bool
) -> dict[str, Any]:
    """What the templates show; see :func:`render_feature`."""
    full, other = sample_bodies(fields)
    words = names.many.replace("_", " ")
    makers = {name: maker_of(model) for name, model in fields.references.items()}
    return {
        **names._asdict(),
        "bodies": "BODIES",
        "one": names.one,
        "one_words": names.one.replace("_", " "),
        "about": with_article(names),
        "url": names.url,
        "words": words,
        "title": words.capitalize(),
        "title_of_test": words.title().replace(" ", ""),
        "base": store.base.__name__,
        "place": store.place.format(feature=names.place, one=names.one),
        "store_name": store.title,
        "schema": repr(write_schema(names, fields, full)),
        "full": repr(full),
        "other": repr(other),
        "caller": caller_for(access),
        "owned": owned,
        "stranger": "bob" if rule_of(access).relations else "",
        "relations": {name: one.__name__ for name, one in fields.references.items()},
        "factories": sorted(set(makers.values())),
        "makers": {name: maker for name, (_, maker) in makers.items()},
        **code_of_columns(store, fields, owned),
        **declarations(fields),
    }


def code_of_columns(
    store: StoreScaffold, fields: Fields, owned: bool
) -> dict[str, Any]:
    """The columns of the model, and the imports of ``models.py``."""
    owner, needed = store.owner_column(MAX_INDEXED) if owned else ({}, set())
    return {
        "columns": {**store.columns(fields), **owner},
        "imports": import_lines({*model_imports(store, fields), *needed}),
    }


def caller_for(access: str) -> str:
    """A caller of the tests that may call routes with access words; empty if nobody
    has to say who calls."""
    rule, name = rule_of(access), "ada"
    if rule.is_public:
        return ""
    role = current_app.config["ROLES"][-1]
    return name if rule.allows(Caller(name)) else f"{name} {role}"


def write_schema(names: Names, fields: Fields, example: JSON) -> JSON:
    """The write schema of the model."""
    stand_ins = {
        f"{name}_id": FORMAT_SAMPLES["uuid"][0]
        for name in fields.references
        if f"{name}_id" in fields.required
    }
    schema: JSON = {
        "$id": f"/schemas/{names.one.replace('_', '-')}.write.json",
        "title": f"{with_article(names)}, as written",
        "type": "object",
        "properties": fields.properties,
        "required": fields.required,
        "additionalProperties": False,
        "examples": [{**example, **stand_ins}],
    }
    return schema


def with_article(names: Names) -> str:
    """The singular with its article: ``An order line``."""
    words = names.one.replace("_", " ")
    return f"{'An' if words[0] in 'aeiou' else 'A'} {words}"


def declarations(fields: Fields) -> dict[str, Any]:
    """The declarations of the model for queries: a field with one short value can be
    filtered and sorted by, and free text can be searched."""
    scalar = [name for name, field in fields.properties.items() if is_scalar(field)]
    texts = [
        name
        for name, field in fields.properties.items()
        if field.get("type") == "string" and not {"format", "enum"} & set(field)
    ]
    sortable = [
        name for name in scalar if fields.properties[name].get("format") != "uuid"
    ]
    return {
        "filterable": repr(tuple(scalar)) if scalar else "",
        "sortable": repr(tuple(sortable)) if sortable else "",
        "searchable": repr(tuple(texts)) if texts else "",
    }


def is_scalar(field: JSON) -> bool:
    """Whether a field can be filtered and sorted by."""
    try:
        scalar_type(field)
    except TypeError:
        return False
    return bool(field.get("maxLength", 0) <= MAX_INDEXED)


def model_imports(store: StoreScaffold, fields: Fields) -> Imports:
    """The imports of ``models.py``, as pairs of module and name."""
    found = {(store.module, store.base.__name__), *store.imports(fields)}
    if fields.references:
        found.add(("myapp.core.model", "Relation"))
    for model in fields.references.values():
        found.add((f"{feature_of(model)}.door", model.__name__))
    return found


def import_lines(imports: Imports) -> str:
    """Import statements: the standard library, other libraries, this project."""
    groups: dict[int, list[str]] = {}
    for module in sorted({module for module, _ in imports}):
        top = module.partition(".")[0]
        group = {"myapp": 2, "sqlalchemy": 1}.get(top, 0)
        names = ", ".join(sorted(name for one, name in imports if one == module))
        groups.setdefault(group, []).append(f"from {module} import {names}")
    return "\n\n".join("\n".join(groups[group]) for group in sorted(groups))


def feature_of(model: Any) -> str:
    """The package of the feature that a model belongs to."""
    return ".".join(model.__module__.split(".")[:2])


def maker_of(model: Any) -> tuple[str, str]:
    """The factory of a model: its module and its name.

    :raises FieldError: when the model has no factory.
    """
    module, name = f"{feature_of(model)}.factories", f"create_{snake(model.__name__)}"
    parts = module.split(".")[1:]
    path = Path(current_app.root_path, *parts).with_suffix(".py")
    if not path.exists() or f"def {name}(" not in path.read_text(encoding="utf-8"):
        raise FieldError(f"{module} has no {name}, which the tests need; write it")
    return module, name


def unused_schema(names: Names, schemas: Iterable[str]) -> None:
    """Make sure that no other model has the schema ids of this model.

    :raises FieldError: when another model has one of them.
    """
    wanted = f"/schemas/{names.one.replace('_', '-')}.write.json"
    if wanted in schemas:
        raise FieldError(f"another model is called {names.model}; use --model NAME")
