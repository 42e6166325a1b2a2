"""How many images an official data set has, compared with what is there."""

from typing import Mapping

from ...errors import UserError


def refuse_partial(
    source: str, found: Mapping[str, int], expected: Mapping[str, int], allow_partial: bool
) -> None:
    """UserError if a split has other than the expected number of images, or none at all."""
    wrong = [
        f"{count:,} {name} images instead of {expected[name]:,}"
        for name, count in found.items()
        if count != expected[name]
    ]
    if wrong and not allow_partial:
        said = " and ".join(wrong)
        raise UserError(f"{source}: holds {said}; --allow-partial goes on with what is there")
    for name, count in found.items():
        if not count:
            raise UserError(f"{source}: holds no {name} images")
