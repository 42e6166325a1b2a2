"""``gluon-tricks models``: lists the networks, with parameters and multiply-adds per image (the
paper's Table 5).
"""

from ..files import write_json
from ..flags import at_least, check_range, output_file


def add_arguments(parser):
    parser.add_argument(
        "pattern",
        metavar="PATTERN",
        nargs="*",
        help="names or patterns such as 'resnext*' or 'fcn_*' [this package's own classifiers]",
    )
    parser.add_argument(
        "--all", action="store_true", help="also list every classification network of GluonCV's zoo"
    )
    parser.add_argument(
        "--input-size",
        metavar="N",
        type=int,
        help="height and width of the image [each network's own]",
    )
    parser.add_argument(
        "--classes", metavar="N", type=int, default=1000, help="classes of the last layer [1000]"
    )
    parser.add_argument(
        "--json",
        type=output_file("JSON"),
        metavar="FILE",
        help="also write the rows to FILE, with the exact counts; - for standard output",
    )


def main(args):
    """Print each row as soon as it is counted; return 1 if a network cannot be counted, for the
    reason in its row.
    """
    if args.input_size is not None:
        check_range("input_size", args.input_size, at_least(1))
    check_range("classes", args.classes, at_least(1))
    from ..models import table

    chosen = table.select(args.pattern, args.all)
    width = max(len(name) for name in chosen)
    print(
        f"{'network':{width}}  {'input':>6}  {'parameters (M)':>14}  {'multiply-adds (G)':>16}",
        flush=True,
    )
    rows = []
    for name in chosen:
        row = table.measure(name, args.classes, args.input_size)
        rows.append(row)
        print(f"{name:{width}}  {row['input_size']:>6}  {_counts(row)}", flush=True)
    if args.json:
        write_json(args.json, rows)
    return int(any("error" in row for row in rows))


def _counts(row):
    if "error" in row:
        return row["error"]
    millions = row["parameters"] / 1e6
    digits = 1 if millions >= 10 else 2
    return f"{millions:14.{digits}f}  {row['multiply_adds'] / 1e9:17.2f}"
