"""``send_mail``: what a feature calls, and the job that it queues."""

import re
from collections.abc import Sequence
from email import policy
from email.errors import HeaderParseError
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import Policy
from email.utils import localtime
from typing import Any

import click
from email_validator import EmailNotValidError, validate_email
from flask import Flask, current_app

from myapp.core.errors.problem import Problem
from myapp.core.errors.startup import ConfigError
from myapp.core.jobs import QueuedJob, current_job, job
from myapp.core.mail.smtp import hand_in, parse_smtp_url
from myapp.core.mail.template import render_mail
from myapp.core.stores.redis.keys import RedisKeys

# The attempts for one mail, which go on for some three hours.
MAIL_ATTEMPTS = 30
# How many mails are kept in development, and for how many seconds after the last one.
MAILS_KEPT, MAILS_KEPT_FOR = 100, 7 * 24 * 3600.0
# In seven bits, which each mail server takes; lines end with CR LF.
MAIL_FORMAT = policy.SMTP.clone(cte_type="7bit")

# A name and an address in angle brackets, or an address alone.
SENDER = re.compile(
    r'(?P<name>[^<>@,;:"\\\x00-\x1f]*|"[^<>"\\\x00-\x1f]*")\s?<(?P<named>[^<>\s]+)>'
    r"|(?P<bare>[^<>\s]+)"
)

mailbox = RedisKeys("core")


def send_mail(
    to: str | Sequence[str], template: str, /, **values: Any
) -> list[QueuedJob]:
    """Send a mail after the commit of this request, and none when the request fails.

    Each address gets a mail of its own by a job of its own: nobody sees the other
    addresses, and one that is refused does not hold up the others. A job sends its mail
    once, unless the reply of the mail server is lost: then it sends the mail again,
    with the same Message-ID. A text that is no address is refused before any mail is
    queued.

    :param to: one address or several, without names.
    :param template: such as ``carts/reminder``; see
        :mod:`myapp.core.mail.template`.
    :param values: what the template shows.
    :returns: the job of each address.
    :raises Problem: 422 for an address to which no mail can be sent.
    """
    addresses = [to] if isinstance(to, str) else to
    checked = dict.fromkeys(check_address(one) for one in addresses)
    mail = render_mail(template, values)
    return [deliver.later(address, **mail._asdict()) for address in checked]


def send_mail_now(to: str, template: str, /, **values: Any) -> None:
    """Send a mail in a job, as a part of it: nothing of the mail is stored, so it may
    hold what must not be. The job is tried again when the mail server cannot take it.

    :raises Problem: 422 for an address to which no mail can be sent.
    """
    deliver(check_address(to), **render_mail(template, values)._asdict())


def check_address(address: str) -> str:
    """An e-mail address (RFC 5321 section 4.1.2) as mail servers take it: its domain in
    lower case and ASCII.

    Quoted names, addresses without a domain, and names that are not ASCII are refused.

    :raises Problem: 422 when it is none.
    """
    is_trial = current_app.config["ENV"] != "production"
    try:
        found = validate_email(
            address,
            check_deliverability=False,
            allow_smtputf8=False,
            # Domains such as app.test.
            test_environment=is_trial,
        )
    except EmailNotValidError as error:
        raise Problem("unprocessable", f"No e-mail address: {error}") from error
    return str(found.ascii_email)


@job(max_attempts=MAIL_ATTEMPTS)
def deliver(to: str, subject: str, text: str, html: str) -> None:
    """Send one mail to one address.

    :param html: empty for a mail that is text alone.
    """
    url = current_app.config["SMTP_URL"]
    if not url and current_app.config["ENV"] == "production":
        raise Problem("unavailable", "SMTP_URL is not set, so this mail waits.")
    message = mail_message(current_job().id, to, subject, text, html)
    if url:
        hand_in(url, message)
    else:
        show_instead(message, text, html)


def mail_message(id: str, to: str, subject: str, text: str, html: str) -> EmailMessage:
    """A mail with its headers (RFC 5322).

    :param id: of the job, which makes the Message-ID.
    :raises ValueError: when a header would be several lines.
    """
    sender = sender_of(current_app.config["MAIL_FROM"])
    message = EmailMessage(MAIL_FORMAT)
    message["From"] = sender
    message["To"] = to
    message["Subject"] = Literal(subject)
    message["Date"] = localtime()
    message["Message-ID"] = f"<{id}@{sender.domain}>"
    # RFC 3834 section 5: no machine is to answer, such as that of a holiday.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    return message


def sender_of(text: str) -> Address:
    """The address in ``MAIL_FROM``, which may have a name: ``Films <films@a.example>``.

    :raises ConfigError: when it is not one address, in ASCII.
    """
    found = SENDER.fullmatch(text)
    name, spec = (
        (found["name"] or "", found["named"] or found["bare"]) if found else ("", "")
    )
    try:
        spec.encode("ascii")
        return Address(name.strip().strip('"'), addr_spec=spec)
    except (ValueError, IndexError, HeaderParseError) as error:
        raise ConfigError(
            f"MAIL_FROM is {text!r}; it takes one address, in ASCII"
        ) from error


class Literal(str):
    """The value of a header that is taken as it stands. The header classes of the
    library read encoded words in it (RFC 2047), in which a value may hide line breaks.

    :ivar name: of the header.
    """

    name = "Subject"
    defects = ()

    def fold(self, *, policy: Policy) -> str:
        """The header, in lines; as encoded words where it is not plain text."""
        charset = "us-ascii" if self.isascii() and "=?" not in self else "utf-8"
        value = Header(self, charset, header_name=self.name)
        text = value.encode(linesep=policy.linesep)
        return f"{self.name}: {text}{policy.linesep}"


def show_instead(message: EmailMessage, text: str, html: str) -> None:
    """Show a mail instead of sending it: at ``/dev/mail``, and on the console of the
    development server."""
    headers = ("Message-ID", "From", "To", "Subject", "Date")
    found = {name.lower(): str(message[name]) for name in headers}
    kept = {"id": current_job().id, **found, "text": text, "html": html}
    mailbox.push("mails", kept, MAILS_KEPT, MAILS_KEPT_FOR)
    if current_app.config["ENV"] == "development":
        lines = [f"{name}: {message[name]}" for name in headers[1:]]
        click.echo("\n".join(["", *lines, "", text]), err=True)


def kept_mails() -> list[dict[str, str]]:
    """The mails that were kept instead of sent, the newest one first."""
    return mailbox.items("mails")


def init_app(app: Flask) -> None:
    """Check the settings.

    :raises ConfigError: for an ``SMTP_URL`` without a host or a ``MAIL_FROM``.
    """
    if app.config["SMTP_URL"]:
        parse_smtp_url(app.config["SMTP_URL"])
    if app.config["SMTP_URL"] or app.config["MAIL_FROM"]:
        sender_of(app.config["MAIL_FROM"])
