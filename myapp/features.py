"""The mount table: one row a feature, and the doors between features."""

from myapp.core.feature import Feature

FEATURES = (
    Feature("accounts", url_prefix="/accounts", access="signed_in", stores=("redis",)),
    Feature("catalog", url_prefix="/catalog", access="public"),
    Feature("carts", url_prefix="/carts", access="public", stores=("sql",)),
)

# Pairs (user, owner): the first feature may import the second one's `door`.
DOORS: frozenset[tuple[str, str]] = frozenset()
