"""The table of tricks in README.md: ``python -m gluon_tricks.reporting.trick_table``. Later tricks
are in docs/successors.md.
"""

from ..tricks.table import TRICKS
from .tables import markdown


def trick_table():
    """A row for each trick of the paper in :data:`gluon_tricks.tricks.table.TRICKS`."""
    header = ["trick", "section", "flag", "file", "test", "published gain, top-1"]
    return markdown(header, [_row(trick) for trick in TRICKS if trick.scores])


def _row(trick):
    gain = f"{trick.gain:+.2f}".replace("-", "−")
    links = _link("gluon_tricks", trick.file), _link("tests", trick.test)
    return [trick.name, trick.section, f"`{trick.usage}`", *links, gain]


def _link(folder, file):
    return f"[{file.split('/')[-1]}]({folder}/{file})"


if __name__ == "__main__":
    print(trick_table(), end="")
