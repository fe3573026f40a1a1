"""What happens beside a sign-in: a mail, and the copy and the end of an account."""

from typing import Any

from myapp.accounts import door
from myapp.core.mail import send_mail
from myapp.openid.models import LinkedIdentity, drop_linked, linked_of

door.when_deleted(drop_linked)
# Who resets a password wants no other way in, such as one that a stranger has linked.
door.when_reset(drop_linked)


def tell_linked(address: str, title: str) -> None:
    """Tell a user that one can sign in with a provider now."""
    send_mail(address, "openid/linked", address=address, title=title)


@door.in_export("identities")
def exported_identities(user_id: str) -> list[dict[str, Any]]:
    """The linked identities of a user, for the copy of its account."""
    return [LinkedIdentity.show(one.document) for one in linked_of(user_id)]
