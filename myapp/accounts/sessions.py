"""Sessions: kept in Redis as JSON, and named by a cookie that says nothing but where.

A session is ``session:{<user>}:<digest>``, its value ``<end> <version> <JSON>``: when
it ends at the latest, in milliseconds, and the version of the user at the sign-in. The
keys of a user lie in one slot of a cluster, with ``sessions:{<user>}``, the sorted set
of the digests by their ends, and ``session-floor:{<user>}``, the least version of the
user with which a session may begin, which is kept while a sign-in may be on its way.
"""

import hashlib
import secrets
from datetime import UTC, datetime
from typing import Any, cast

import orjson
from flask import Flask, Response, current_app, request

from myapp.accounts.cookies import (
    Cookie,
    check_origin,
    cookie_name,
    cookie_value,
    prefix_of,
    sent_cookie,
    set_cookie,
)
from myapp.accounts.limits import remember_place
from myapp.core.access import Authenticator, Caller, add_authenticator, roles_up_to
from myapp.core.errors import Problem
from myapp.core.model import Record
from myapp.core.stores import after_commit
from myapp.core.stores.redis import LuaScript, redis_store

SECRET_BYTES = 32
# A session is renewed when so many seconds have passed, so not at each request.
RENEW_AFTER = 60
# Seconds that a sign-in may take, generously.
FLOOR_KEPT = 3600
MOST_SESSIONS = 100
CHALLENGE = 'Session realm="accounts"'

# KEYS: the session. ARGV: milliseconds that it lives unused, those after which it is
# renewed.
READ = LuaScript("""
local text = redis.call('GET', KEYS[1])
if not text then return false end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local left = (tonumber(string.match(text, '^(%d+) ')) or 0) - now
if left <= 0 then
    redis.call('DEL', KEYS[1])
    return false
end
local life = math.min(left, tonumber(ARGV[1]))
if redis.call('PTTL', KEYS[1]) < life - ARGV[2] then
    redis.call('PEXPIRE', KEYS[1], life)
end
return text
""")
# KEYS: the session, the set, the floor. ARGV: digest, milliseconds to the end, those
# that it lives unused, version, JSON, how many sessions there may be, prefix.
BEGIN = LuaScript("""
if tonumber(ARGV[4]) < tonumber(redis.call('GET', KEYS[3]) or 0) then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local text = string.format('%.0f %s %s', now + ARGV[2], ARGV[4], ARGV[5])
redis.call('SET', KEYS[1], text, 'PX', math.min(ARGV[2], ARGV[3]))
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[2]), ARGV[1])
for _, old in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1 - ARGV[6])) do
    redis.call('DEL', ARGV[7] .. old)
    redis.call('ZREM', KEYS[2], old)
end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
""")
# KEYS: the set, the floor. ARGV: prefix, the version below which sessions end, the
# milliseconds that the floor is kept (0 sets none), a digest to keep.
END = LuaScript("""
if ARGV[3] ~= '0' then
    local floor = math.max(tonumber(redis.call('GET', KEYS[2]) or 0), tonumber(ARGV[2]))
    redis.call('SET', KEYS[2], string.format('%.0f', floor), 'PX', ARGV[3])
end
local ended = 0
for _, digest in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    local text = redis.call('GET', ARGV[1] .. digest)
    local version = text and tonumber(string.match(text, '^%d+ (%d+) '))
    if digest ~= ARGV[4] and (not version or version < tonumber(ARGV[2])) then
        ended = ended + redis.call('DEL', ARGV[1] .. digest)
        redis.call('ZREM', KEYS[1], digest)
    end
end
return ended
""")
#: A version above all others, for sessions that end whatever theirs is.
ANY_VERSION = 2**53


def set_of(user_id: str) -> str:
    """The key of the set of the sessions of a user."""
    return f"sessions:{{{user_id}}}"


def floor_of(user_id: str) -> str:
    """The key of the least version with which a session may begin."""
    return f"session-floor:{{{user_id}}}"


def authenticate() -> Caller | None:
    """The caller of the session of this request, in one call to Redis; ``None`` without
    a session that goes on.

    :raises Problem: 403 for a write that another site may have caused.
    """
    cookie = sent_cookie()
    if cookie is None:
        return None
    session = read_session(cookie)
    if session is None:
        return None
    check_origin(is_needed=True)
    return Caller(cookie.user_id, roles_up_to(str(session.get("role"))))


def read_session(cookie: Cookie) -> dict[str, Any] | None:
    """The session that a cookie names, which it renews; ``None`` when it is over."""
    idle = current_app.config["SESSION_IDLE"] * 1000
    text = READ([cookie.key], [int(idle), int(min(RENEW_AFTER * 1000, idle / 2))])
    return session_in(text)


def role_of_session(user: Any) -> str:
    """The role that a session or a token of a user has: with a role that needs a second
    factor, and without one, that of a new user."""
    needs = user["role"] in current_app.config["SECOND_FACTOR_ROLES"]
    if needs and user["totp_secret"] is None:
        return str(current_app.config["SIGN_UP_ROLE"])
    return str(user["role"])


def session_in(text: bytes | None) -> dict[str, Any] | None:
    """The session in a value of Redis; ``None`` for anything else."""
    if text is None:
        return None
    try:
        found = orjson.loads(text.split(b" ", 2)[2])
    except (ValueError, IndexError):
        return None
    return found if isinstance(found, dict) else None


def begin_session(response: Response, user: Record, remember: bool | None) -> None:
    """Begin a session after the commit of this request, and end that of its cookie. If
    the user has changed meanwhile, a sign-in is refused, a 409; after a change that is
    stored the response has no session.

    :param response: gets the cookie.
    :param user: as it was read or written.
    :param remember: whether the cookie outlives the browser; ``None`` when this request
        is no sign-in.
    """
    former, user_id = sent_cookie(), user.id
    if remember is not None:
        remember_place(response, user_id)
    secret = secrets.token_bytes(SECRET_BYTES)
    cookie = Cookie(user_id, hashlib.sha256(secret).hexdigest())
    kept = {
        "role": role_of_session(user),
        "remember": bool(remember),
        "created_at": datetime.now(UTC).isoformat(),
        "address": request.remote_addr or "",
        "agent": request.headers.get("User-Agent", "")[:200],
    }
    longest = int(current_app.config["SESSION_ABSOLUTE"] * 1000)
    idle = int(current_app.config["SESSION_IDLE"] * 1000)

    def begin() -> None:
        keys = [cookie.key, set_of(user_id), floor_of(user_id)]
        text = orjson.dumps(kept)
        limits = [longest, idle, user.version, text, MOST_SESSIONS, prefix_of(user_id)]
        if not BEGIN(keys, [cookie.digest, *limits]):
            if remember is not None:
                raise Problem("conflict", "The account has changed. Sign in again.")
            set_cookie(response, "", 0)
        if former is not None:
            end_session(former)

    after_commit(begin)
    value = cookie_value(user_id, secret)
    set_cookie(response, value, longest // 1000 if remember else None)


def end_session(cookie: Cookie) -> bool:
    """End one session now; return whether it went on."""
    ended = redis_store.delete(cookie.key)
    redis_store.zrem(set_of(cookie.user_id), cookie.digest)
    return bool(ended)


def end_sessions(user_id: str, below: int, keep: str = "") -> int:
    """End the sessions of a user, and refuse those that would begin, that know an older
    version of the user; return how many went on.

    :param below: the version of the user that is new.
    :param keep: the digest of a session that goes on.
    """
    return _end(user_id, below, FLOOR_KEPT * 1000, keep)


def end_present_sessions(user_id: str, keep: str = "") -> int:
    """End the sessions of a user that there are now; others may begin."""
    return _end(user_id, ANY_VERSION, 0, keep)


def _end(user_id: str, below: int, kept: int, keep: str) -> int:
    keys = [set_of(user_id), floor_of(user_id)]
    return int(END(keys, [prefix_of(user_id), below, kept, keep]))


def sessions_of(user_id: str) -> list[dict[str, Any]]:
    """The sessions of a user that go on, the newest one first."""
    digests = [one.decode() for one in redis_store.zrange(set_of(user_id), 0, -1)]
    if not digests:
        return []
    current = sent_cookie()
    texts = redis_store.mget([prefix_of(user_id) + one for one in digests])
    found = []
    for digest, text in zip(digests, texts):
        session = session_in(text)
        if session is not None:
            found.append(
                {
                    "id": digest,
                    "created_at": session["created_at"],
                    "address": session["address"],
                    "agent": session["agent"],
                    "is_current": current == Cookie(user_id, digest),
                }
            )
    return sorted(found, key=lambda one: cast(str, one["created_at"]), reverse=True)


def add_sessions(app: Flask) -> None:
    """Let sessions say who calls."""
    with app.app_context():
        scheme = {"type": "apiKey", "in": "cookie", "name": cookie_name()}
    add_authenticator(app, Authenticator("session", authenticate, scheme, CHALLENGE))
