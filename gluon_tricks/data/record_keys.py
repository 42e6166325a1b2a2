"""``--keys``: which records of a file a command is about."""

from typing import List

from ..errors import UserError

MOST = 10_000_000


def keys_in(text: str) -> List[int]:
    """The keys in ``1,2`` (a list) and ``1-3`` (a range, both ends included), in that order.

    UserError for other text, a range that goes down, and more than MOST keys.
    """
    keys: List[int] = []
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            span = range(int(first), int(last if dash else first) + 1)
            if not span:
                raise ValueError
            if len(keys) + len(span) > MOST:
                raise UserError(f"--keys {text}: at most {MOST:,} keys at once")
            keys += span
    except (ValueError, OverflowError):
        raise UserError(
            f"--keys {text}: give the records' keys, as in --keys 1,2 or 10-19"
        ) from None
    return keys
