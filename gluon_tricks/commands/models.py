"""``gluon-tricks models``: which networks there are and what one image costs each (the paper's
Table 5).
"""

import fnmatch

from ..config import user_path
from ..errors import UserError
from ..files import write_json


def add_arguments(parser):
    parser.add_argument(
        "pattern",
        metavar="PATTERN",
        nargs="*",
        help="names or patterns such as 'resnext*'; default: our ResNets",
    )
    parser.add_argument(
        "--all", action="store_true", help="also every classification network of GluonCV's zoo"
    )
    parser.add_argument(
        "--input-size",
        metavar="N",
        type=int,
        help="height and width of the image; default: each network's own",
    )
    parser.add_argument(
        "--classes", metavar="N", type=int, default=1000, help="classes of the last layer [1000]"
    )
    parser.add_argument(
        "--json",
        type=user_path,
        metavar="FILE",
        help="also write the rows to FILE (- for standard output), parameters and multiply-adds in units",
    )


def main(args):
    """Print a row as soon as it is counted; 1 if a network cannot be counted, its row says why."""
    if args.input_size is not None and args.input_size < 1:
        raise UserError(f"--input-size is {args.input_size}, but has to be at least 1")
    if args.classes < 1:
        raise UserError(f"--classes is {args.classes}, but has to be at least 1")
    chosen = select(args.pattern, args.all)
    width = max(len(name) for name in chosen)
    print(
        "{:{}}  {:>6}  {:>14}  {:>16}".format(
            "network", width, "input", "parameters (M)", "multiply-adds (G)"
        ),
        flush=True,
    )
    rows = []
    for name in chosen:
        row = measure(name, args.classes, args.input_size)
        rows.append(row)
        print("{:{}}  {:>6}  {}".format(name, width, row["input_size"], _counts(row)), flush=True)
    if args.json:
        write_json(args.json, rows)
    return int(any("error" in row for row in rows))


def _counts(row):
    if "error" in row:
        return row["error"]
    millions = row["parameters"] / 1e6
    return "{:14.{}f}  {:17.2f}".format(
        millions, 1 if millions >= 10 else 2, row["multiply_adds"] / 1e9
    )


def select(patterns, everything=False):
    """The names that match any of ``patterns``, in the order of :func:`.names`."""
    from ..models import closest, names, resnet

    if not patterns:
        return names() if everything else resnet.NAMES
    for pattern in patterns:
        if not fnmatch.filter(names(), pattern.lower()):
            raise UserError(f"no network is called {pattern}{closest(pattern)}")
    return [
        name
        for name in names()
        if any(fnmatch.fnmatch(name, pattern.lower()) for pattern in patterns)
    ]


def measure(name, classes=1000, size=None):
    """{name, input_size, parameters, multiply_adds} of one network, or {name, input_size, error}."""
    from ..models import get_model, input_size
    from ..models.complexity import count

    row = {"name": name, "input_size": size or input_size(name)}
    try:
        complexity = count(get_model(name, classes=classes), row["input_size"])
    except UserError as error:
        return {**row, "error": str(error)}
    return {**row, "parameters": complexity.parameters, "multiply_adds": complexity.multiply_adds}
