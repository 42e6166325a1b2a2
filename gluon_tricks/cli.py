"""The ``gluon-tricks`` command: a table of sub-commands, each a few lines in the room that does the work."""

import argparse
import importlib
import os
import sys

from . import __version__
from .errors import UserError
from .files import json_output
from .quiet import drop_noise
from .threads import set_threads

# name: (module with add_arguments(parser) and main(args) -> exit code, one line of help)
COMMANDS = {
    "train": ("gluon_tricks.training.run", "train a network; every trick of the paper is a flag"),
    "plan": ("gluon_tricks.plan", "say what a train command would do, without training"),
    "evaluate": ("gluon_tricks.evaluate", "exact top-1 and top-5 of a model on a RecordIO file"),
    "predict": ("gluon_tricks.predict", "name what is in images"),
    "export": ("gluon_tricks.export", "write a trained network for use without this package"),
    "report": ("gluon_tricks.report", "a page with the curves and figures of runs"),
    "models": ("gluon_tricks.models.command", "names, parameters and multiply-adds of the networks"),
    "prepare": ("gluon_tricks.data.prepare", "turn a data set into RecordIO files"),
    "records": ("gluon_tricks.data.records_command", "verify, index or describe a RecordIO file"),
    "data": ("gluon_tricks.data.show", "look at images as the augmentation makes them"),
    "bench": ("gluon_tricks.bench", "measure the training step, the loader, inference, scaling"),
    "launch": ("gluon_tricks.launch", "start a training run on many machines"),
    "doctor": ("gluon_tricks.doctor", "say what of the software and hardware is there"),
}


class Parser(argparse.ArgumentParser):
    """argparse, but a wrong flag is answered with a line and not with the list of all flags."""

    def error(self, message):
        self.exit(2, "{0}: error: {1}; '{0} --help' says what there is\n".format(self.prog, message))


def main(argv=None):
    """Run one sub-command and return its exit code."""
    open_standard_streams()
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = Parser(
        prog="gluon-tricks",
        description="Bag of Tricks for Image Classification with CNNs, reproduced on MXNet and GluonCV.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="commands:\n"
        + "\n".join("  {:10}{}".format(name, text) for name, (_, text) in COMMANDS.items())
        + "\n\n'gluon-tricks COMMAND --help' lists the flags of one.",
    )
    parser.add_argument("--version", action="version", version="gluon_tricks " + __version__)
    parser.add_argument("command", metavar="COMMAND", choices=COMMANDS, help="one of the commands below")
    if not argv:
        parser.print_help()
        return 2
    # Only what stands before the sub-command is parsed here, so that a module is imported when it is asked for.
    arguments = parser.parse_args(argv[:1])
    try:
        return run(arguments.command, argv[1:])
    except UserError as error:
        print("gluon-tricks {}: error: {}".format(arguments.command, error), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output (head, less) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def run(name, words):
    """Parse the words of the sub-command ``name`` and run it."""
    set_threads()
    if name in ("train", "bench"):
        drop_noise()
    module = importlib.import_module(COMMANDS[name][0])
    command = Parser(
        prog="gluon-tricks " + name,
        description=COMMANDS[name][1],
        allow_abbrev=False,  # an abbreviation would change its meaning when a flag is added
    )
    module.add_arguments(command)
    args = command.parse_args(words)
    with json_output(getattr(args, "json", None)):
        return module.main(args) or 0


def open_standard_streams():
    """Open those of the three standard streams that are closed on the null device.

    Else the next file that is opened would take their number and get what is printed, and Python's own are None.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, name, open(number, mode, closefd=False))
