"""``gluon-tricks records``: say whether a RecordIO file is sound, make its index anew, describe it."""

import os

from ..config import user_path
from ..data.describe import describe, in_words
from ..data.parallel import add_workers, threads
from ..data.records import index_path_of
from ..data.verify import prepared_sha256, rebuild_index, verify
from ..errors import UserError
from ..files import write_json, write_text
from ..text import printable

SHOWN = 50  # problems printed for a file; --json has them all


def add_arguments(parser):
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    actions.required = True
    for name, text in (
        (
            "verify",
            "read and decode every record, compare with the index and with the checksums in the records and in "
            "manifest.json; exit code 1 where anything is wrong",
        ),
        ("index", "make the .idx of a file that has lost it"),
        ("info", "counts, sizes, classes"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument(
            "files", type=user_path, nargs="+", metavar="FILE", help="a RecordIO file (.rec)"
        )
        if name == "index":
            action.add_argument(
                "--force", action="store_true", help="replace an index that is there"
            )
            action.add_argument(
                "--salvage",
                action="store_true",
                help="leave damaged records out, instead of an error",
            )
        else:
            action.add_argument(
                "--json",
                type=user_path,
                metavar="FILE",
                help="write what was found there too; - for standard output",
            )
            add_workers(action)
        if name == "verify":
            action.add_argument(
                "--classes", type=int, metavar="N", help="labels have to be whole, from 0 to N - 1"
            )


def main(args):
    return {"verify": main_verify, "index": main_index, "info": main_info}[args.action](args)


def main_verify(args):
    import cv2

    if args.classes is not None and args.classes < 1:
        raise UserError(f"--classes {args.classes}: is the number of classes")
    cv2.setNumThreads(1)
    workers, reports, wrong = threads(args), [], 0
    for path in args.files:
        records, without_checksum, problems = verify(path, args.classes, workers)
        for problem in problems[:SHOWN]:
            print(printable(f"{path}: {problem}"))
        if len(problems) > SHOWN:
            print(printable(f"{path}: and {len(problems) - SHOWN} more problems"))
        if problems:
            result = "{} problem{}".format(len(problems), "s" * (len(problems) > 1))
        elif prepared_sha256(path):
            result = "all sound; the file is as it was prepared (SHA-256)"
        elif not without_checksum:
            result = "all sound; each is as it was written (CRC-32)"
        else:
            result = f"all sound, as far as decoding shows: {without_checksum} tell no checksum"
        print(printable(f"{path}: {records} records, {result}"))
        reports.append(
            {
                "path": path,
                "records": records,
                "problems": [problem._asdict() for problem in problems],
            }
        )
        wrong += len(problems)
    write_report(args, reports)
    return 1 if wrong else 0


def main_index(args):
    for path in args.files:
        index_path = index_path_of(path)
        if os.path.exists(index_path) and not args.force:
            raise UserError(f"{index_path}: is there already; --force replaces it")
        entries, damaged, from_ids = rebuild_index(path)
        if damaged and not args.salvage:
            offset, _, problem = damaged[0]
            raise UserError(
                f"{path}: byte {offset}: {problem}; {len(entries)} records are whole, and --salvage makes an index of those"
            )
        if not entries:
            raise UserError(f"{path}: holds no record")
        write_text(index_path, "".join(f"{key}\t{offset}\n" for key, offset in entries))
        print(
            "{}: {} records{}, keys {}".format(
                printable(index_path),
                len(entries),
                f", {len(damaged)} damaged places left out" if damaged else "",
                "are the records' own ids"
                if from_ids
                else "are numbers from 0, as the records' ids are not unique",
            )
        )
    return 0


def main_info(args):
    reports = []
    for path in args.files:
        report = describe(path, threads(args))
        reports.append(report)
        print(in_words(report))
    write_report(args, reports)
    return 0


def write_report(args, reports):
    if args.json:
        write_json(args.json, reports)
