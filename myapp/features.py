"""The mount table: one row a feature, and the doors between features."""

from myapp.core.feature import Feature

FEATURES = (
    Feature(
        "accounts",
        url_prefix="/accounts",
        access="signed_in",
        stores=("sql", "redis"),
    ),
    Feature(
        "catalog",
        url_prefix="/catalog",
        access="public",
        write_access='role("editor")',
    ),
    Feature(
        "carts",
        url_prefix="/carts",
        access='owner | role("admin")',
        stores=("sql",),
    ),
    Feature(
        "audit",
        url_prefix="/audit",
        access='role("admin")',
        stores=("sql",),
    ),
    Feature(
        "oauth",
        url_prefix="/oauth",
        access="signed_in",
        stores=("sql", "redis"),
    ),
    Feature(
        "openid",
        url_prefix="/openid",
        access="signed_in",
        stores=("sql", "redis"),
    ),
    Feature(
        "teams",
        url_prefix="/teams",
        access='member | role("admin")',
        write_access='leader | role("admin")',
    ),
)

# Pairs (user, owner): the first feature may import the second one's `door`.
DOORS: frozenset[tuple[str, str]] = frozenset(
    {
        ("carts", "accounts"),
        ("oauth", "accounts"),
        ("openid", "accounts"),
        ("teams", "accounts"),
    }
)
