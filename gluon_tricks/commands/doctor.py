"""``gluon-tricks doctor``: checks the installation, and shows how to fix what is missing."""

from .. import diagnosis, system
from ..errors import UserError
from ..files import write_json
from ..flags import output_file


def add_arguments(parser):
    """Add the flags of the output."""
    parser.add_argument(
        "--json",
        type=output_file("JSON"),
        metavar="FILE",
        help="also write the findings and the facts to FILE; - for standard output",
    )
    parser.add_argument(
        "--library-path",
        action="store_true",
        help="only print the library folders of the nvidia-*-cu11 wheels",
    )


def main(args):
    """Print the table; return 1 if a finding is an error, else 0."""
    if args.library_path and args.json:
        raise UserError("--json has no effect with --library-path: leave one of the two out")
    if args.library_path:
        print(":".join(sorted(system.cuda_wheels().values())))
        return 0
    facts = system.gather()
    findings = diagnosis.judge(facts)
    broken = any(finding.status == diagnosis.ERROR for finding in findings)
    print(table(findings))
    if args.json:
        found = [finding._asdict() for finding in findings]
        write_json(args.json, dict(ok=not broken, findings=found, facts=facts))
    return 1 if broken else 0


def table(findings):
    """The findings as text, each with its fix below."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append("{:7}  {:{}}  {}".format(finding.status, finding.name, width, finding.text))
        if finding.repair:
            lines.append(" " * (11 + width) + "-> " + finding.repair)
    return "\n".join(lines)
