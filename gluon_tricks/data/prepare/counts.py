"""How many images an official data set has, compared with what is there."""

from typing import Mapping

from ...errors import UserError
from ...text import counted


def refuse_partial(
    source: str, found: Mapping[str, int], expected: Mapping[str, int], allow_partial: bool
) -> None:
    """UserError if a split does not have the expected number of images, or has none."""
    wrong = [
        f"{counted(count, f'{name} image')} instead of {expected[name]:,}"
        for name, count in found.items()
        if count != expected[name]
    ]
    if wrong and not allow_partial:
        said = " and ".join(wrong)
        raise UserError(f"{source}: holds {said}; --allow-partial continues with what is there")
    for name, count in found.items():
        if not count:
            raise UserError(f"{source}: holds no {name} images")
