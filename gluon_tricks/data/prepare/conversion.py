"""Write splits of a data set as RecordIO: threads convert, one writer keeps the order, and a killed
run can be continued.

The files' bytes depend only on the images and the settings, never on the number of threads or on
interruptions. Next to ``train.rec`` and ``train.idx`` is ``train.lst``, im2rec's list: key, label,
source of the image.
"""

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import sys
import time
from typing import Any, Dict, Mapping, Optional, Sequence

import numpy as np

from ...errors import UserError
from ...files import sha256, write_text
from ...text import has_control_characters, printable
from ..class_names import DIGEST, LABELS, write_labels
from ..file_reading import MANIFEST, read_json
from ..mask_files import is_mask_path
from ..parallel import Progress, ordered_map
from ..record_index import index_path_of
from ..recordio import frame, pack_image
from ..records import RecordWriter
from . import box_labels
from .split import Split
from .split_state import State, is_note

SYNC_EVERY = 5.0  # seconds of work that a killed run may lose
MAX_BROKEN = 1000  # if most images so far are broken, they are not images
OF_A_MODEL = ("config.json", "model.safetensors")  # in the folder of a run or a converted model
UNREADABLE = bytes(32)  # in the place of the SHA-256 of an image that cannot be read


def write_data_set(
    directory: str,
    splits: Mapping[str, Split],
    classes: Sequence[str],
    settings: Mapping[str, Any],
    workers: int = 1,
    skip_broken: Optional[bool] = None,
) -> Dict[str, Any]:
    """Write ``{name: Split}`` as ``name.rec``, .idx and .lst, with labels.txt and manifest.json.

    classes: names in the order of their labels. settings: JSON-able, all that the bytes depend on
    apart from the images. A split that is already there is not written again, and an
    interrupted one is continued, if the settings and the list of images are the same. Broken images
    are named and, unless ``skip_broken``, an error once all are known; None: the data set has no
    such flag. Returns the manifest. Raises UserError.
    """
    import cv2

    cv2.setNumThreads(1)  # of each of its calls: our threads are the parallelism
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as error:
        raise UserError(f"{directory}: cannot be made: {error.strerror}") from error
    manifest = read_json(os.path.join(directory, MANIFEST))
    refuse_another(directory, manifest, settings)
    ours = manifest.get("splits", ())
    if (
        "splits" not in manifest
        or manifest.get("settings") != settings
        or manifest.get("classes") != len(classes)
    ):
        manifest = {"settings": settings, "classes": len(classes), "splits": {}}
    refuse_control_characters(classes, splits)
    works = [SplitWriter(directory, name, split, settings) for name, split in splits.items()]
    works = [
        work for work in works if not work.is_whole(manifest["splits"].get(work.name), workers)
    ]
    for work in works:
        work.refuse_foreign(ours)
    check_space(directory, works)
    for work in works:
        try:
            manifest["splits"][work.name] = work.write(len(classes), workers, skip_broken)
        except KeyboardInterrupt:
            print("\ninterrupted; the same command continues from here", file=sys.stderr)
            raise
        write_about(directory, classes, manifest)
        work.forget()
    if not works:
        write_about(directory, classes, manifest)  # the names may be others, or damaged
    return manifest


def write_about(directory, classes, manifest):
    """Write labels.txt, and the manifest with its digest."""
    path = os.path.join(directory, LABELS)
    write_labels(path, classes)
    manifest[DIGEST] = sha256(path)
    text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
    write_text(os.path.join(directory, MANIFEST), text)


def refuse_another(directory, manifest, settings):
    """UserError if the folder holds a run or a model, whose names and manifest would be replaced,
    or another kind of data set.
    """
    is_model = any(os.path.exists(os.path.join(directory, name)) for name in OF_A_MODEL)
    if is_model or "formats" in manifest:  # those of an export
        raise UserError(f"{directory}: holds a run or a model; name another folder")
    held = manifest.get("settings")
    name = held.get("data_set") if isinstance(held, dict) else None
    if name not in (None, settings.get("data_set")):
        raise UserError(
            f"{directory}: holds the data set {printable(name)}, which this one would replace; "
            "name another folder, or move it away"
        )


def refuse_control_characters(classes, splits):
    """UserError for a name that would break the lines of labels.txt or of a list, or act on a
    terminal.
    """
    names = (name for split in splits.values() for name in split.names)
    for name in itertools.chain(classes, names):
        if has_control_characters(name):
            raise UserError(
                f"{printable(name)}: its name has a line break, a tab or the like; rename it"
            )


def check_space(directory, works):
    """UserError if the disk cannot hold what is still to be written."""
    needed = sum(work.split.size + 80 * len(work.split) - work.bytes_there() for work in works)
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise UserError(
            f"{directory}: {needed / 1e9:.2f} GB are needed there, and the disk has "
            f"{free / 1e9:.2f} GB free"
        )


class SplitWriter:
    """Writes one split to ``name.rec``; what is safely on the disk is noted in
    ``name.rec.state``.
    """

    def __init__(self, directory, name, split, settings):
        self.name, self.split = name, split
        self.path = os.path.join(directory, name + ".rec")
        self.state_path = self.path + ".state"
        self.files = (self.path, index_path_of(self.path))
        order = hashlib.sha256("\n".join(split.names).encode("utf-8", "surrogateescape"))
        order.update(split.label_bytes())
        self.state = State(dict(settings, images=order.hexdigest()), order)

    def is_whole(self, entry, workers):
        """Whether this split is already written, as its entry in the manifest says, and from the
        images that are there now.
        """
        return (
            isinstance(entry, dict)
            and all(
                os.path.exists(path) and os.path.getsize(path) == entry.get(key)
                for path, key in zip(self.files, ("bytes", "index_bytes"))
            )
            and entry.get("images_sha256") == self.sources_of(len(self.split), workers).hexdigest()
        )

    def refuse_foreign(self, ours):
        """UserError if there is a file of this split's name that is neither in the manifest's
        splits ``ours`` nor noted by an interrupted run: im2rec, or another program, made it.
        """
        is_known = self.name in ours or os.path.exists(self.state_path)
        if os.path.exists(self.path) and not is_known:
            raise UserError(
                f"{self.path}: exists already, and no {MANIFEST} says that prepare made it; name "
                "another folder, or move it away"
            )

    def sources_of(self, count, workers):
        """The state's ``sources`` after the first ``count`` images; reads them."""
        digest = self.state.sources.copy()
        with Progress(f"{self.name}: compare with the source", count) as progress:
            for done, one in enumerate(ordered_map(self.source_digest, range(count), workers), 1):
                digest.update(one)
                progress.show(done)
        return digest

    def source_digest(self, position):
        """SHA-256 of an image in its source."""
        try:
            return hashlib.sha256(self.split.read(position)).digest()
        except ValueError:
            return UNREADABLE

    def bytes_there(self):
        part = self.path + ".part"
        return os.path.getsize(part) if os.path.exists(part) else 0

    def write(self, classes, workers, skip_broken):
        """Write what is missing; returns the split's entry in the manifest."""
        digest = hashlib.sha256()
        self.recall(digest, workers)
        state = self.state
        if not state.done:
            self.forget()  # an older run's note does not fit the new files
        with RecordWriter(self.path, resume=state.sizes) as writer, Progress(
            self.name, len(self.split)
        ) as progress:
            self.append(writer, digest, workers, progress)
            self.note(len(self.split), writer)
            if state.broken and not skip_broken:
                raise self.are_broken(state.broken, skip_broken is not None)
            left_out = {position for position, _, _ in state.broken}
            kept = [position for position in range(len(self.split)) if position not in left_out]
            write_text(
                self.path[: -len("rec")] + "lst",
                "".join(f"{i}\t{self.columns(i)}\t{self.split.names[i]}\n" for i in kept),
            )
        entry = {
            "records": len(kept),
            "bytes": state.sizes[0],
            "index_bytes": state.sizes[1],
            "sha256": digest.hexdigest(),
            "images_sha256": state.sources.hexdigest(),
            "forms": dict(state.forms),
            "broken": [name for _, name, _ in state.broken],
        }
        entry.update(self.counts(kept, classes))
        return entry

    def are_broken(self, broken, skippable):
        """The UserError that names the first broken image."""
        (_, name, problem), what = broken[0], "masks" if is_mask_path(self.path) else "images"
        leave_out = ", or leave them out with --skip-broken" if skippable else ""
        return UserError(
            f"{self.path}: {len(broken)} of {len(self.split)} {what} are broken, the first is "
            f"{name} ({problem}); repair them{leave_out}"
        )

    def columns(self, position):
        """The label of an image in the form of im2rec's list."""
        label = self.split.label(position)
        return "\t".join(f"{number:.9g}" for number in label) if np.ndim(label) else label

    def counts(self, kept, classes):
        """How many images, or boxes, there are of each class."""
        if self.split.boxes is not None:
            return box_labels.counts([self.split.boxes[i] for i in kept], classes)
        if not self.split.labelled:
            return {}
        return {"per_class": np.bincount(self.split.labels[kept], minlength=classes).tolist()}

    def append(self, writer, digest, workers, progress):
        """Convert and write the images that are not done yet."""
        state = self.state
        noted = time.monotonic()
        results = ordered_map(self.convert, range(state.done, len(self.split)), workers)
        for position, (framed, form, source) in enumerate(results, state.done):
            state.sources.update(source)
            if framed is None:
                state.broken.append([position, self.split.names[position], form])
                progress.say(f"{self.split.names[position]}: {form}")
                if len(state.broken) >= MAX_BROKEN and 2 * len(state.broken) > position:
                    writer.keep_parts = False
                    self.forget()
                    raise UserError(
                        f"{len(state.broken)} files cannot be decoded; are these images?"
                    )
            else:
                writer.write_frame(position, framed)
                digest.update(framed)
                state.forms[form] += 1
            progress.show(position + 1)
            if time.monotonic() - noted > SYNC_EVERY:
                self.note(position + 1, writer)
                noted = time.monotonic()

    def convert(self, position):
        """``(framed record, form, source's digest)`` of an image, or ``(None, problem, digest)`` of
        a broken one.
        """
        source = UNREADABLE
        try:
            data = self.split.read(position)
            source = hashlib.sha256(data).digest()
            payload, form = self.split.encode(data)
            label = self.split.label(position)
            return frame(pack_image(position, label, payload)), form, source
        except ValueError as error:
            return None, str(error), source

    def note(self, done, writer):
        """Note that the first ``done`` images are on the disk."""
        self.state.done, self.state.sizes = done, writer.sync()
        write_text(self.state_path, json.dumps(self.state.to_json()))

    def recall(self, digest, workers):
        """Continue from an interrupted run's note; ``digest`` gets the bytes that are there."""
        note = read_json(self.state_path)
        if not is_note(note, len(self.split)):
            return
        differing = self.state.differing(note)
        if not differing:
            sources = self.sources_of(note["done"], workers)
            differing = [] if sources.hexdigest() == note["sources"] else ["images"]
        if differing == ["images"] and note["broken"]:
            return  # the broken images were repaired or removed
        if differing:
            said = " and ".join([name for name in differing if name != "images"] or differing)
            raise UserError(
                f"{self.path}.part was begun with other {said}; use the same to continue, or "
                f"delete {self.state_path} to start over"
            )
        if not self.is_there(note):
            return
        with open(self.path + ".part", "rb") as file:
            left = note["sizes"][0]
            while left:
                block = file.read(min(left, 1 << 22))
                digest.update(block)
                left -= len(block)
        self.state.take_up(note, sources)

    def is_there(self, note):
        """Are both unfinished files as long as the note says?"""
        for path, size in zip(self.files, note["sizes"]):
            part = path + ".part"
            if (
                note["done"] == len(self.split)
                and not os.path.exists(part)
                and os.path.exists(path)
            ):
                # it was interrupted between giving the files their names
                os.replace(path, part)
            if not os.path.exists(part) or os.path.getsize(part) < size:
                return False
        return True

    def forget(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.state_path)
