"""What a run remembers of a RecordIO file, to recognise it later and on other hosts."""

import hashlib
from typing import Any, Dict, Optional, Sequence

from ..files import sha256, short
from .file_reading import manifest_entry
from .records import Path, RecordFile

# bytes; of a file up to this size every record is read, in less than a second
HASHED_WHOLE = 1 << 28
SAMPLES = 1024  # of a larger file: of ImageNet's 150 GB about 115 MB


def fingerprint(path: Path, index_path: Optional[Path] = None) -> Dict[str, Any]:
    """The fingerprint of a file, a dict for JSON.

    - records, bytes, index_sha256: how many there are, the file's size, the index's digest
    - sample_sha256: the digest of the records themselves: of all in a file up to HASHED_WHOLE
      bytes, else of SAMPLES, spread evenly over the index, including the first and the last; of
      each at most its first READ_AT_ONCE bytes
    - sha256: of the whole file, from the ``manifest.json`` of ``gluon-tricks prepare`` next to it,
      if the size there is the file's
    """
    with RecordFile(path, index_path or None) as records:
        found = dict(
            records=len(records),
            bytes=records.size,
            index_sha256=sha256(records.index_path),
            sample_sha256=_sample_digest(records),
        )
    noted = manifest_entry(records.path)
    if noted.get("bytes") == records.size and isinstance(noted.get("sha256"), str):
        found["sha256"] = noted["sha256"]
    return found


def differences(old: Optional[Dict[str, Any]], new: Optional[Dict[str, Any]]) -> str:
    """How two fingerprints differ, as text, or "". Only what both have is compared: older runs
    noted less.
    """
    if old is None or new is None:
        return "" if old == new else f"{_shown(old)} -> {_shown(new)}"
    differing = {name for name in old if name in new and old[name] != new[name]}
    before, now = _shown(old), _shown(new)
    return ", ".join(f"{name} {before[name]} -> {now[name]}" for name in old if name in differing)


def _shown(fingerprint):
    """A fingerprint, or None, with its digests shortened; they are its only strings."""
    return fingerprint and {
        name: short(value) if isinstance(value, str) else value
        for name, value in fingerprint.items()
    }


def _sample_digest(records):
    digest = hashlib.sha256()
    everything = records.size <= HASHED_WHOLE
    for position in range(len(records)) if everything else spread(len(records)):
        # raw bytes: it is the loader that names broken records
        digest.update(records.read_beginning(position))
    return digest.hexdigest()


def spread(length: int, most: int = SAMPLES) -> Sequence[int]:
    """At most ``most`` positions below ``length``, in order and evenly spread, including the first
    and the last.
    """
    if length <= most:
        return range(length)
    return [number * (length - 1) // (most - 1) for number in range(most)]
