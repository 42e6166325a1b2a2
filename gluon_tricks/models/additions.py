"""What papers after Bag of Tricks add to the blocks of a residual network, option by option.

Each addition is a function from :class:`.blocks.Parts` to Parts in its own file. It finds the
layers of a block by their names, so all additions can be combined.
"""

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from ..config import spelling
from ..errors import UserError
from .blocks import Parts
from .blur_pool import with_blur
from .drop_block import SCALES, with_drop_block
from .drop_path import with_drop_path
from .gem import GeM
from .progress import Progress
from .se import with_se
from .sk import with_sk

ATTENTIONS: Dict[str, Callable[[Parts, int], Parts]] = {"se": with_se, "sk": with_sk}
# Options that have no effect without another one.
NEEDS = {
    "attention_reduction": "attention",
    "anti_alias_shortcut": "anti_alias",
    "drop_block_from": "drop_block",
}


class Additions(NamedTuple):
    """The options of additions, named as in :func:`.registry.get_model`."""

    attention: str = "none"
    attention_reduction: int = 0
    anti_alias: int = 0
    anti_alias_shortcut: bool = False
    drop_block: float = 0.0
    drop_block_from: float = 0.0
    drop_path: float = 0.0
    gem: bool = False


def split(options: Mapping[str, Any]) -> Tuple[Additions, Dict[str, Any]]:
    """The options that are additions, and the other options. UserError if one has no effect."""
    own = {name: value for name, value in options.items() if name in Additions._fields}
    for name, needed in NEEDS.items():
        if own.get(name) and not own.get(needed):
            raise UserError(f"{spelling(name)} has no effect without {spelling(needed)}")
    return Additions(**own), {name: options[name] for name in options if name not in own}


def stages(parts: Parts, added: Additions, progress: Optional[Progress] = None) -> List[Parts]:
    """``parts`` with the additions, for each of the four stages.

    A network with several kinds of parts passes the same ``progress`` for all of them.
    """
    if added.attention != "none":
        if added.attention not in ATTENTIONS:
            raise UserError(
                f"attention is {added.attention}; it has to be none, {' or '.join(ATTENTIONS)}"
            )
        parts = ATTENTIONS[added.attention](parts, added.attention_reduction)
    if added.anti_alias:
        parts = with_blur(parts, added.anti_alias, added.anti_alias_shortcut)
    if added.drop_path:
        parts = with_drop_path(parts)
    if added.gem:
        parts = parts._replace(pool=GeM)
    if not added.drop_block:
        return [parts] * len(SCALES)
    rates, progress = (added.drop_block_from, added.drop_block), progress or Progress()
    return [with_drop_block(parts, rates, scale, progress) if scale else parts for scale in SCALES]
