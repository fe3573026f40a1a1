"""The table of OpenID: with which identities elsewhere a user may sign in."""

from sqlalchemy import UniqueConstraint, select
from sqlalchemy.orm import Mapped, mapped_column

from myapp.core.model import Record, unscoped
from myapp.core.stores.sql import Id, SqlModel, Varchar, rows, sql

# OpenID Connect Core 1.0 section 2.
MOST_IN_SUBJECT = 255
MOST_IN_ISSUER = 200


class LinkedIdentity(SqlModel):
    """A user of a provider, linked to an account here."""

    __tablename__ = "openid_identities"
    # An id of a user is one of its issuer; the name of a provider may get another one.
    __table_args__ = (UniqueConstraint("issuer", "subject"),)
    audited = True
    # It is gone when an account is deleted.
    unaudited = ("email",)
    owner_field = "user_id"
    scoped_by = ("user_id",)
    hidden = ("user_id", "subject")
    server_properties = {
        "user_id": {"type": "string", "format": "uuid"},
        "provider": {"type": "string", "maxLength": 30},
        "issuer": {"type": "string", "maxLength": MOST_IN_ISSUER},
        "subject": {"type": "string", "maxLength": MOST_IN_SUBJECT},
        "email": {"type": "string", "maxLength": 254},
    }
    # Clients read and delete identities; a sign-in makes them.
    write_schema = {
        "$id": "/schemas/linked-identity.write.json",
        "title": "A linked identity, as written",
        "type": "object",
        "properties": {},
        "additionalProperties": False,
        "examples": [{}],
    }

    # Accounts may be removed without OpenID, so no foreign key holds it.
    user_id: Mapped[str] = mapped_column(Id)
    provider: Mapped[str] = mapped_column(Varchar(30))
    issuer: Mapped[str] = mapped_column(Varchar(MOST_IN_ISSUER))
    subject: Mapped[str] = mapped_column(Varchar(MOST_IN_SUBJECT))
    # The address there, when it was linked.
    email: Mapped[str] = mapped_column(Varchar(254))


IDENTITIES = LinkedIdentity.table()


def find_linked(issuer: str, subject: str) -> Record | None:
    """The linked identity of a user of an issuer, whoever calls."""
    is_it = (IDENTITIES.c.issuer == issuer, IDENTITIES.c.subject == subject)
    found = rows(select(IDENTITIES).where(*is_it))
    return Record(LinkedIdentity, dict(found[0]._mapping)) if found else None


def add_linked(user_id: str, **fields: str) -> Record:
    """Link an identity to a user, whoever calls.

    :param fields: provider, issuer, subject and email.
    :raises Problem: 409 when it is linked already.
    """
    with unscoped():
        document = LinkedIdentity.new_document({}) | fields | {"user_id": user_id}
        LinkedIdentity.insert([document])
    return Record(LinkedIdentity, document)


def linked_of(user_id: str) -> list[Record]:
    """The linked identities of a user, the oldest one first, whoever calls."""
    mine = select(IDENTITIES).where(IDENTITIES.c.user_id == user_id)
    found = rows(mine.order_by(IDENTITIES.c.id))
    return [Record(LinkedIdentity, dict(row._mapping)) for row in found]


def drop_linked(user_id: str) -> None:
    """Delete the linked identities of a user, whoever calls, also those that another
    transaction has stored since this one began."""
    mine = select(IDENTITIES).where(IDENTITIES.c.user_id == user_id).with_for_update()
    found = sql.session.connection().execute(mine).all()
    with unscoped():
        LinkedIdentity.discard([dict(row._mapping) for row in found])
