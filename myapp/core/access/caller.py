"""The question who is calling."""


def caller() -> str:
    """The name of who sends this request; cursors and idempotency keys are bound to
    it. It is empty where every route is public."""
    return ""
