"""The device authorization grant, RFC 8628: a program without a browser shows a code,
which its user enters on a page here."""

import secrets
from datetime import datetime, timedelta
from typing import Any

from authlib.oauth2.rfc6749.errors import (
    InvalidGrantError,
    InvalidScopeError,
    UnauthorizedClientError,
)
from authlib.oauth2.rfc8628 import (
    DEVICE_CODE_GRANT_TYPE,
    DeviceAuthorizationEndpoint,
    DeviceCodeGrant,
)
from flask import request, url_for
from sqlalchemy import delete, insert, select, update

from myapp.accounts import door
from myapp.core.stores.sql import rows, write
from myapp.oauth import tokens
from myapp.oauth.clients import find_client
from myapp.oauth.grants import EVERYONE, resource_of
from myapp.oauth.models import Device, digest_of
from myapp.oauth.resources import issuer

DEVICES = Device.__table__
LIFETIME = timedelta(minutes=10)
# Seconds between two questions of a device, and by how much they grow for one that asks
# more often (RFC 8628 section 3.5).
INTERVAL = 5
# Letters that are no words and look like no digit (RFC 8628 section 6.1).
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"


class Asked(tokens.Granted):
    """What a device asks for, as Authlib asks for it."""

    def get_client_id(self) -> str:
        """Its client."""
        return self.client_id

    def get_user_code(self) -> str:
        """The digest of its device code, by which it is found."""
        return digest_of(self.text)


def plain(user_code: str) -> str:
    """A user code as it is compared: in any case, with or without the dash."""
    return "".join(one for one in user_code.upper() if one in LETTERS)


def find_device(user_code: str) -> Any:
    """The device with a user code that waits for its user; ``None`` without one."""
    found = rows(
        select(DEVICES).where(
            *(DEVICES.c.user_digest == digest_of(plain(user_code)),),
            *(DEVICES.c.consent_id.is_(None), ~DEVICES.c.is_denied),
            DEVICES.c.expires_at > tokens.now(),
        )
    )
    return found[0] if found else None


def decide(device: Any, consent_id: str | None) -> bool:
    """Let a device have what its user has decided, once; return whether it waited for
    it.

    :param consent_id: what the user has allowed; ``None`` for nothing.
    """
    waits = (DEVICES.c.consent_id.is_(None), ~DEVICES.c.is_denied)
    mine = update(DEVICES).where(DEVICES.c.digest == device.digest, *waits)
    values = {"consent_id": consent_id, "is_denied": consent_id is None}
    return bool(write(mine.values(**values)).rowcount)


def drop_old_devices() -> int:
    """Delete the codes that are over; return their number."""
    return write(delete(DEVICES).where(DEVICES.c.expires_at <= tokens.now())).rowcount


class DeviceEndpoint(DeviceAuthorizationEndpoint):
    """Where a device gets its codes, RFC 8628 section 3.1."""

    CLIENT_AUTH_METHODS = EVERYONE
    EXPIRES_IN = int(LIFETIME.total_seconds())
    INTERVAL = INTERVAL

    def generate_user_code(self) -> str:
        """A code for a person."""
        parts = ["".join(secrets.choice(LETTERS) for _ in range(4)) for _ in range(2)]
        return "-".join(parts)

    def generate_device_code(self) -> str:
        """A code that nobody can guess."""
        return tokens.new_secret()

    def get_verification_uri(self) -> str:
        """The page for the code of the person."""
        return issuer() + url_for("oauth.device")

    def save_device_credential(self, client_id: str, scope: str, data: Any) -> None:
        """Store what a device asks for.

        :raises OAuth2Error: for scopes or a grant that the client does not have.
        """
        client = find_client(client_id)
        if client is None or not client.check_grant_type(DEVICE_CODE_GRANT_TYPE):
            raise UnauthorizedClientError("The client does not have this grant.")
        scopes = client.get_allowed_scope(scope)
        if scopes is None:
            raise InvalidScopeError()
        write(
            insert(DEVICES),
            {
                "digest": digest_of(data["device_code"]),
                "user_digest": digest_of(plain(data["user_code"])),
                "client_id": client_id,
                "scopes": scopes.split(),
                "resource": resource_of(request.form),
                "wait": INTERVAL,
                "is_denied": False,
                "expires_at": tokens.now() + LIFETIME,
            },
        )


class DeviceCode(DeviceCodeGrant):
    """The grant by which a device asks for its tokens, RFC 8628 section 3.4."""

    TOKEN_ENDPOINT_AUTH_METHODS = EVERYONE

    def query_device_credential(self, device_code: str) -> Asked:
        """What a device has asked for.

        :raises InvalidGrantError: for a code that is none.
        """
        row = of_digest(digest_of(device_code))
        if row is None:
            raise InvalidGrantError()
        return Asked(
            *(row.client_id, None, row.consent_id, row.scopes, row.resource),
            *(tokens.now(), row.expires_at, device_code),
        )

    def query_user_grant(self, user_code: str) -> tuple[Any, bool] | None:
        """The user who has decided, and whether it was allowed; ``None`` until then. A
        decision is given to one request alone."""
        row = of_digest(user_code)
        if row is None:
            raise InvalidGrantError()
        if row.is_denied:
            return None, False
        if row.consent_id is None:
            return None
        is_it = DEVICES.c.digest == user_code
        if not write(delete(DEVICES).where(is_it)).rowcount:
            raise InvalidGrantError()
        consent = tokens.find_consent(row.consent_id)
        user = door.active_user(consent.user_id) if consent is not None else None
        if user is None:
            raise InvalidGrantError()
        return user, True

    def should_slow_down(self, credential: Asked) -> bool:
        """Whether a device asks too often; then it has to wait longer."""
        row, moment = of_digest(credential.get_user_code()), tokens.now()
        if row is None:
            raise InvalidGrantError()
        is_early = is_too_early(row.polled_at, row.wait, moment)
        wait = row.wait + INTERVAL if is_early else row.wait
        mine = update(DEVICES).where(DEVICES.c.digest == row.digest)
        write(mine.values(polled_at=moment, wait=wait))
        return is_early


def is_too_early(before: datetime | None, wait: int, moment: datetime) -> bool:
    """Whether a question comes too soon after the one before. A second is forgiven,
    which the network may take."""
    return before is not None and moment < before + timedelta(seconds=wait - 1)


def of_digest(digest: str) -> Any:
    """The row of a device code; ``None`` when there is none."""
    found = rows(select(DEVICES).where(DEVICES.c.digest == digest), newest=True)
    return found[0] if found else None
