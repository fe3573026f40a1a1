"""Templates of mails: ``templates/<feature>/<name>.txt`` in a feature, which sets the
subject, and the same name with ``.html``, if the mail has a part in HTML.
"""

from typing import Any, NamedTuple

from flask import current_app
from jinja2 import Environment, StrictUndefined, TemplateNotFound


class MailText(NamedTuple):
    """What a mail says.

    :param html: empty for a mail that is text alone.
    """

    subject: str
    text: str
    html: str


def render_mail(name: str, values: dict[str, Any]) -> MailText:
    """Fill the templates of a mail.

    :param name: such as ``carts/reminder``.
    :raises jinja2.TemplateNotFound: when there is no such text.
    :raises jinja2.UndefinedError: for a value that the template needs and did not get.
    :raises LookupError: when the text sets no subject.
    """
    templates = strict_environment()
    module: Any = templates.get_template(f"{name}.txt").make_module(values)
    # One line, since a header cannot have more.
    subject = " ".join(str(getattr(module, "subject", "")).split())
    if not subject:
        raise LookupError(f"{name}.txt sets no subject: {{% set subject = ... %}}")
    try:
        html = templates.get_template(f"{name}.html").render(values)
    except TemplateNotFound as error:
        if error.name != f"{name}.html":
            raise
        html = ""
    return MailText(subject, f"{str(module).strip()}\n", html)


def strict_environment() -> Environment:
    """The templates of the application, where a value that is missing is an error."""
    found: Environment | None = current_app.extensions.get("mail_templates")
    if found is None:
        found = current_app.jinja_env.overlay(undefined=StrictUndefined)
        current_app.extensions["mail_templates"] = found
    return found
