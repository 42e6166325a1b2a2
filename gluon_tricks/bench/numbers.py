"""Adds the measurements' flags that are numbers."""

from typing import Any


def add_numbers(parser: Any, **numbers: Any) -> None:
    """Add flags to a parser: ``batch_size=(32, "images a device")`` becomes ``--batch-size N`` with
    this default and help.
    """
    for name, (default, text) in numbers.items():
        flag, help = "--" + name.replace("_", "-"), f"{text} [{default}]"
        parser.add_argument(flag, type=int, default=default, metavar="N", help=help)
