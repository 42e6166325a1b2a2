"""``gluon-tricks report``: writes a page about runs: flags in the paper's words, curves, and
figures next to the paper's.
"""

import os
import sys

from ..config import user_path
from ..errors import UserError
from ..reporting import page, tables
from ..reporting.groups import groups_of
from ..reporting.reading import find
from ..reporting.runs import by_data
from ..text import printable


def add_arguments(parser):
    parser.add_argument(
        "runs",
        nargs="+",
        type=user_path,
        metavar="RUN",
        help="a run's folder, or a folder of runs; the others are compared with the first run",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=user_path,
        metavar="DIR",
        help="folder for report.html, report.md and the pictures [RUN/report; with several RUNs: "
        "report]",
    )
    parser.add_argument("--open", action="store_true", help="only print the path of the page")


def check(output):
    """UserError for a folder that has the name of a page."""
    if output and output.lower().endswith((".html", ".md")):
        raise UserError(
            f"-o {output}: names the folder that receives report.html and report.md, not the page; "
            "leave the extension out"
        )


def _warn(text):
    print(text, file=sys.stderr)


def main(args):
    """Write the report and print its table and the page's path."""
    check(args.output)
    runs = find(args.runs, say=_warn)
    for run in runs:
        for text in run.damage:
            _warn(f"{run.name}: {text}")
    folder = args.output or (
        os.path.join(args.runs[0], "report") if len(args.runs) == 1 else "report"
    )
    path = os.path.abspath(page.write(runs, folder))
    if not args.open:
        for own in by_data(runs):
            groups = groups_of(own)
            print(tables.data_title(own))
            print(tables.markdown(*tables.results(groups)))
            published = tables.published(groups)
            if published:
                title, *table = published
                print(f"{title}\n{tables.markdown(*table)}")
    print(printable(path) if args.open else "report: " + printable(path))
    return 0
