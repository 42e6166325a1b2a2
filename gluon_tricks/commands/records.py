"""``gluon-tricks records``: verifies a RecordIO file, rebuilds its index, or describes it."""

import os

from ..config import user_path
from ..data.describe import describe, lines_of
from ..data.file_reading import manifest_entry, prepared_sha256
from ..data.mask_files import mask_path_of
from ..data.parallel import add_workers, threads
from ..data.record_index import index_path_of
from ..data.verify import verify, write_index
from ..errors import UserError
from ..files import write_json
from ..flags import output_file
from ..text import counted, printable

SHOWN = 50  # problems printed per file; --json has them all


def add_arguments(parser):
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    actions.required = True
    for name, text in (
        (
            "verify",
            "read and decode every record, compare with the index and with the checksums in the "
            "records and in manifest.json; exit code 1 if anything is wrong",
        ),
        ("index", "rebuild the .idx of a file that has lost it"),
        ("info", "print counts, sizes and classes"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument(
            "files", type=user_path, nargs="+", metavar="FILE", help="a RecordIO file (.rec)"
        )
        if name == "index":
            action.add_argument("--force", action="store_true", help="replace an existing index")
            action.add_argument(
                "--salvage",
                action="store_true",
                help="leave out damaged records instead of stopping at them",
            )
        else:
            action.add_argument(
                "--json",
                type=output_file("JSON"),
                metavar="FILE",
                help="also write the results to this file; - for standard output",
            )
            add_workers(action)
        if name == "verify":
            action.add_argument(
                "--classes",
                type=int,
                metavar="N",
                help="require labels to be whole numbers from 0 to N - 1",
            )


def main(args):
    return {"verify": main_verify, "index": main_index, "info": main_info}[args.action](args)


def main_verify(args):
    import cv2

    if args.classes is not None and args.classes < 1:
        raise UserError(f"--classes {args.classes}: has to be at least 1")
    cv2.setNumThreads(1)
    workers, reports = threads(args.workers), []
    for path in with_masks(args.files):
        records, without_checksum, problems = verify(path, args.classes, workers)
        for line in verified(path, records, without_checksum, problems):
            print(printable(f"{path}: {line}"))
        found = [problem._asdict() for problem in problems]
        reports.append({"path": path, "records": records, "problems": found})
    write_report(args, reports)
    return 1 if any(report["problems"] for report in reports) else 0


def with_masks(paths):
    """The files, each followed by the file of its masks if that exists, or did when it was
    prepared.
    """
    found = []
    for path in paths:
        masks = mask_path_of(path)
        found += [path] + [masks] * (os.path.exists(masks) or bool(manifest_entry(masks)))
    return list(dict.fromkeys(found))


def verified(path, records, without_checksum, problems):
    """The lines of text about a file."""
    yield from problems[:SHOWN]
    if len(problems) > SHOWN:
        yield f"and {counted(len(problems) - SHOWN, 'more problem')}"
    if problems:
        result = counted(len(problems), "problem")
    elif prepared_sha256(path):
        result = "all sound; the file is as it was prepared (SHA-256)"
    elif not without_checksum:
        result = "all sound; each is as it was written (CRC-32)"
    else:
        result = f"all sound, as far as decoding shows: {without_checksum} without a checksum"
    yield f"{counted(records, 'record')}, {result}"


def main_index(args):
    for path in args.files:
        index_path = index_path_of(path)
        if os.path.exists(index_path) and not args.force:
            raise UserError(f"{index_path}: already exists; --force replaces it")
        count, damaged, from_ids = write_index(path, args.salvage)
        left_out = f", {counted(damaged, 'damaged place')} left out" if damaged else ""
        keys = (
            "are the records' own ids"
            if from_ids
            else "are numbers from 0, as the records' ids are not unique"
        )
        print(f"{printable(index_path)}: {counted(count, 'record')}{left_out}, keys {keys}")
    return 0


def main_info(args):
    reports = []
    for path in args.files:
        report = describe(path, threads(args.workers))
        reports.append(report)
        print(lines_of(report))
    write_report(args, reports)
    return 0


def write_report(args, reports):
    if args.json:
        write_json(args.json, reports)
