"""Reads the defaults of the flags from a command's help."""

import re

from gluon_tricks.config import FLAGS


def shown_defaults(parser, task):
    """``{flag: value}``: the defaults for ``task``, from the brackets at the end of each flag's
    help, as in ``[32; segmentation: 4]``.
    """
    found = {}
    for action in parser._actions:
        inside = re.search(r" \[([^\[\]]*)\]$", action.help)
        if action.dest in FLAGS and inside:
            texts = dict(part.rpartition(": ")[::2] for part in inside[1].split("; "))
            found[action.dest] = action.type(texts.get(task, texts[""]))
    return found
