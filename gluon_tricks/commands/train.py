"""``gluon-tricks train``: trains a network; every trick of the paper is a flag."""

from .. import config as flags
from ..training.run import train

add_arguments = flags.add_arguments


def main(args):
    """Train; the exit code is 0, 2 (wrong input), 3 (diverged), 4 (other workers are lost), or that
    of a signal: 129 (SIGHUP), 130 (Ctrl-C), 143 (SIGTERM).
    """
    return train(flags.resolve(vars(args)))
