"""Limits of how often a client may send requests: RATE_LIMITS, for all routes or for
those of a feature. Off, they cost nothing.

The headers are those of the draft "RateLimit header fields for HTTP"
(draft-ietf-httpapi-ratelimit-headers-10).
"""

import ipaddress

from flask import Flask, Response, current_app, g, request

from myapp.core.errors.problem import Problem
from myapp.core.errors.startup import ConfigError
from myapp.core.stores.redis.rate import Limiter, Rate, Taken, parse_rate

#: The name of the limit of all routes that have no other.
DEFAULT = "*"
# What must answer a machine that asks often.
NEVER_LIMITED = frozenset({"health", "metrics", "static"})
# The part of an IPv6 address that one client may choose freely (RFC 4291 section 2.5).
NETWORK = 64

requests = Limiter("requests")


def client_network() -> str:
    """Where this request comes from: its IPv4 address, or its IPv6 network, behind the
    proxies that ``TRUSTED_PROXIES`` names."""
    text = request.remote_addr or ""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "unknown"
    mapped = getattr(address, "ipv4_mapped", None)
    if address.version == 4 or mapped:
        return str(mapped or address)
    return str(ipaddress.ip_network(f"{address}/{NETWORK}", strict=False))


def too_many(taken: Taken) -> Problem:
    """The problem of a client that has sent too many requests, RFC 6585 section 4."""
    headers = {"Retry-After": str(max(taken.wait, 1))}
    return Problem("too-many-requests", headers=headers)


def check_rate() -> None:
    """Refuse a client that sends requests too often.

    :raises Problem: 429 with Retry-After.
    """
    feature = (request.endpoint or "").partition(".")[0]
    if feature in NEVER_LIMITED:
        return
    rates: dict[str, Rate] = current_app.extensions["rates"]
    name = feature if feature in rates else DEFAULT
    if name not in rates:
        return
    taken = requests.take({f"{name}:{client_network()}": rates[name]})
    g.rate = (name, rates[name], taken)
    if taken.refused >= 0:
        raise too_many(taken)


def add_rate_headers(response: Response) -> Response:
    """Tell the client what is left of its limit."""
    if "rate" in g:
        name, rate, taken = g.rate
        label = "default" if name == DEFAULT else name
        policy = f'"{label}";q={rate.most};w={rate.seconds}'
        response.headers["RateLimit-Policy"] = policy
        response.headers["RateLimit"] = f'"{label}";r={taken.left};t={taken.wait}'
    return response


def init_app(app: Flask) -> None:
    """Count requests, if a limit is set.

    :raises ConfigError: when a limit is no rate.
    """
    try:
        rates = {
            name: parse_rate(str(text))
            for name, text in app.config["RATE_LIMITS"].items()
        }
    except ValueError as error:
        raise ConfigError(f"RATE_LIMITS: {error}") from error
    app.extensions["rates"] = rates
    if rates:
        app.before_request(check_rate)
        app.after_request(add_rate_headers)
