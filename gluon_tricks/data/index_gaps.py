"""Does an index list all records of its file? One that has lost lines would leave images out."""

import numpy as np

from .file_reading import manifest_entry
from .record_index import index_path_of
from .recordio import OffsetSet, RecordError, record_end


def refuse_gaps(records):
    """Raise RecordError if the index of a :class:`.records.RecordFile` leaves out a whole record.

    Two small reads tell whether records are missing at the file's beginning or end, or whether the
    manifest of ``gluon-tricks prepare`` counts others; only then are all records walked. An index
    of the whole records of a damaged file (``records index --salvage``) passes, and so does any
    with a name of its own.
    """
    if records.index_path != index_path_of(records.path) or _seems_whole(records):
        return
    for place in _left_out(records):
        raise RecordError(
            records.index_path,
            None,
            f"does not list the record at byte {place}: 'gluon-tricks records index --force "
            f"{records.path}' makes the index again",
        )


def _seems_whole(records):
    counted = manifest_entry(records.path).get("records", len(records))
    reaches_end = _end(records, records.offsets.max()) == records.size
    return counted == len(records) and records.offsets.min() == 0 and reaches_end


def _left_out(records):
    """The offsets of whole records at byte 0 or where a listed one ends."""
    offsets = np.sort(records.offsets).tolist()
    place = 0
    for following in [*offsets, records.size]:
        end = _end(records, place) if place is not None and place < following else None
        if end is not None and end <= following:
            yield place
        place = _end(records, following)


def _end(records, offset):
    """Where the record at ``offset`` ends; None if it is damaged."""
    try:
        return record_end(records.read_at, int(offset), records.size, OffsetSet())
    except ValueError:
        return None
