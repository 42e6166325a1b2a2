"""``gluon-tricks data show``: the older name of ``gluon-tricks show``."""

from . import show


def add_arguments(parser):
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    help = "draw a contact sheet of original and augmented images"
    show.add_arguments(commands.add_parser("show", help=help, description=help))


main = show.main
