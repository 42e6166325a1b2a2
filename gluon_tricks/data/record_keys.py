"""Keys of records as a user types them."""

from typing import List

from ..errors import UserError

MOST = 10_000_000  # of a range


def parse_keys(text: str) -> List[int]:
    """The keys in ``1,2`` (a list) or ``10-19`` (a range, both ends included), in that order.

    Raises UserError for other text.
    """
    keys: List[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            span = range(int(first), int(last or first) + 1)
            if len(span) > MOST:
                raise UserError(f"--keys {part}: at most {MOST:,} keys at once")
            keys += span
    except (ValueError, OverflowError):
        keys = []
    if not keys:
        raise UserError(f"--keys {text}: give the records' keys, as in --keys 1,2,10-19")
    return keys
