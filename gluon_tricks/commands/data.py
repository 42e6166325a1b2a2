"""``gluon-tricks data show``: the older name of ``gluon-tricks show``."""

from . import show


def add_arguments(parser):
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    help = "write a contact sheet of originals and what the augmentation makes of them"
    show.add_arguments(commands.add_parser("show", help=help, description=help, allow_abbrev=False))


main = show.main
