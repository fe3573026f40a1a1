"""What becomes of tokens without a request."""

from myapp.accounts import door
from myapp.core.jobs import cron, job
from myapp.oauth.devices import drop_old_devices
from myapp.oauth.owned import clients_of, consents_of, drop_clients
from myapp.oauth.tokens import drop_old, end_consents

door.when_deleted(end_consents)
door.when_deleted(drop_clients)
door.in_export("clients")(clients_of)
door.in_export("consents")(consents_of)
door.when_signed_out(end_consents)


@cron("27 * * * *")
@job
def drop_old_tokens() -> int:
    """Delete the tokens, codes and consents that are over."""
    return drop_old_devices() + drop_old()
