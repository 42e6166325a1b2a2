"""The ``gluon-tricks`` command: a table of sub-commands, each a module of its own."""

import sys

try:
    import argparse
    import importlib
    import textwrap

    from . import __version__, command_process
    from .errors import UserError
    from .files import json_output
    from .onednn_cache import limit_cache
    from .text import printable
    from .threads import set_threads
except KeyboardInterrupt:  # Ctrl-C in the first milliseconds of a command
    sys.exit(130)

# name: (module with add_arguments(parser) and main(args) -> exit code, one line of help)
COMMANDS = {
    "train": ("gluon_tricks.commands.train", "train a network; every trick of the paper is a flag"),
    "plan": (
        "gluon_tricks.commands.plan",
        "explain what a train command would do, without training",
    ),
    "evaluate": (
        "gluon_tricks.commands.evaluate",
        "measure the exact figures of a model on a RecordIO file",
    ),
    "predict": ("gluon_tricks.commands.predict", "predict classes, masks or boxes of images"),
    "export": (
        "gluon_tricks.commands.export",
        "write a trained network for use without this package",
    ),
    "convert": (
        "gluon_tricks.commands.convert",
        "convert weights from and to the names of timm and torchvision",
    ),
    "logits": ("gluon_tricks.commands.logits", "store a teacher's outputs, to distil from them"),
    "report": ("gluon_tricks.commands.report", "write a page with the curves and figures of runs"),
    "models": (
        "gluon_tricks.commands.models",
        "list the networks, with parameters and multiply-adds",
    ),
    "prepare": ("gluon_tricks.commands.prepare", "turn a data set into RecordIO files"),
    "records": ("gluon_tricks.commands.records", "verify, index or describe a RecordIO file"),
    "show": ("gluon_tricks.commands.show", "draw what the augmentation makes of images"),
    "data": ("gluon_tricks.commands.data", "'data show' is the older name of 'show'"),
    "bench": (
        "gluon_tricks.commands.bench",
        "measure the training step, the loader, detection, inference, scaling",
    ),
    "launch": ("gluon_tricks.commands.launch", "start a run of several processes or hosts"),
    "doctor": ("gluon_tricks.commands.doctor", "check the installation: MXNet, GPUs, libraries"),
}


class HelpFormatter(argparse.HelpFormatter):
    """argparse's, but without line breaks at hyphens, such as inside the names of flags."""

    def _split_lines(self, text, width):
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _fill_text(self, text, width, indent):
        return textwrap.indent("\n".join(self._split_lines(text, width - len(indent))), indent)


class Parser(argparse.ArgumentParser):
    """argparse, but a wrong flag prints one line instead of the list of all flags."""

    def __init__(self, **keywords):
        # Adding a flag could change what an abbreviation means.
        keywords = {"formatter_class": HelpFormatter, **keywords, "allow_abbrev": False}
        super().__init__(**keywords)

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {printable(message)}; see '{self.prog} --help'\n")

    # argparse's own method ignores errors, such as a full disk
    def _print_message(self, message, file=None):
        (file or sys.stderr).write(message or "")


def main(argv=None):
    """Run one sub-command and return its exit code.

    Without ``argv`` it is the sub-command of this process's command line, which ends with it.
    """
    if argv is not None:
        return run(list(argv))
    try:
        command_process.answer_interrupts()
        command_process.open_streams()
        try:
            code = run(sys.argv[1:])
        except SystemExit as stop:  # argparse's, after help or a wrong flag
            code = stop.code
        return command_process.end(code)
    except KeyboardInterrupt:  # before the command, or while another one was answered
        return command_process.INTERRUPTED


def run(argv):
    """Run the sub-command ``argv`` and return its exit code. If it failed for a reason outside the
    program, print one line on standard error.
    """
    name = "gluon-tricks"
    try:
        parser = parser_of_all()
        if not argv:
            parser.print_help()
            return 2
        # Only the sub-command's name is parsed here, so that only its module is imported.
        command = parser.parse_args(argv[:1]).command
        name += " " + command
        set_threads()
        limit_cache()
        if command in ("train", "bench"):
            prepare_for_training(argv[1:], name)
        module = importlib.import_module(COMMANDS[command][0])
        parser = Parser(prog=name, description=COMMANDS[command][1])
        module.add_arguments(parser)
        args = parser.parse_args(argv[1:])
        with json_output(getattr(args, "json", None)):
            return module.main(args) or 0
    except UserError as error:
        return command_process.complain(error, name, error.exit_code)
    except KeyboardInterrupt:
        return command_process.INTERRUPTED
    except BrokenPipeError:  # the reader of our output (head, less) has ended
        return 1
    except Exception as error:
        cause = command_process.outside_cause(error)
        if cause is None:
            raise
        return command_process.complain(cause, name)


def prepare_for_training(words, name):
    """What has to happen before a command that trains is imported, which imports MXNet."""
    from . import determinism, stderr_filter

    found = early_flags(words, name)
    if found.deterministic:
        determinism.prepare()
    if not found.num_gpus:  # the message to drop is oneDNN's, which GPUs do not use
        stderr_filter.filter_stderr()


def early_flags(words, name):
    """The two flags that are needed before the others are parsed."""
    from . import config

    parser = Parser(prog=name, add_help=False)
    config.add_arguments(parser, only=("deterministic", "num_gpus"))
    parser.set_defaults(deterministic=False, num_gpus=0)
    return parser.parse_known_args(words)[0]


def parser_of_all():
    """The parser of the options before a sub-command, and of its name."""
    parser = Parser(
        prog="gluon-tricks",
        description="Bag of Tricks for Image Classification with CNNs, reproduced on MXNet and "
        "GluonCV.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="commands:\n"
        + "\n".join(f"  {name:10}{text}" for name, (_, text) in COMMANDS.items())
        + "\n\n'gluon-tricks COMMAND --help' lists the flags of a command.",
    )
    parser.add_argument("--version", action="version", version="gluon_tricks " + __version__)
    parser.add_argument(
        "command", metavar="COMMAND", choices=COMMANDS, help="one of the commands below"
    )
    return parser
