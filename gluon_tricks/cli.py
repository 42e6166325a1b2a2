"""The ``gluon-tricks`` command: a table of sub-commands, each a few lines in the room that does the work."""

import argparse
import importlib
import os
import sys

from . import __version__
from .errors import UserError
from .quiet import drop_noise

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
    set_threads()
    if arguments.command in ("train", "bench"):
        drop_noise()
    module = importlib.import_module(COMMANDS[arguments.command][0])
    command = Parser(
        prog="gluon-tricks " + arguments.command,
        description=COMMANDS[arguments.command][1],
        allow_abbrev=False,  # an abbreviation would change its meaning when a flag is added
    )
    module.add_arguments(command)
    try:
        return module.main(command.parse_args(argv[1:])) or 0
    except UserError as error:
        print("gluon-tricks {}: error: {}".format(arguments.command, error), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output (head, less) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def set_threads():
    """Let MXNet compute on every core where the user has not said otherwise: unset, it computes on one.

    Has to happen before MXNet is imported. Workers that a launcher started on the same machine share its cores.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        local_workers = int(os.environ.get("HOROVOD_LOCAL_SIZE", "1"))
        os.environ["OMP_NUM_THREADS"] = str(max(1, cores // local_workers))
        os.environ["GLUON_TRICKS_SET_THREADS"] = "1"  # the run's log says whose choice it was
