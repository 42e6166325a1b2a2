"""Write splits of a data set as RecordIO: threads convert, one writer keeps the order, a killed run goes on.

The files' bytes depend only on the images and the settings, never on the number of threads or on
interruptions. Beside ``train.rec`` and ``train.idx`` lies ``train.lst``, im2rec's list: key, label, where the
image came from.
"""

import collections
import contextlib
import hashlib
import json
import os
import shutil
import sys
import time

import numpy as np

from ...errors import UserError
from ...files import write_text
from ..disc import read_json
from ..ordered import Progress, in_order
from ..recordio import frame, pack_image
from ..records import RecordWriter, index_path_of

SYNC_EVERY = 5.0  # seconds of work that a killed run may lose
MAX_BROKEN = 1000  # where these are most of the images so far, they are something else than images


class Split:
    """What goes into one file: ``names[i]`` (where image i comes from), ``labels[i]`` and ``load(i)``.

    ``load(i)`` gives ``(encoded image, what was done to it)`` from any thread, and raises ValueError where
    the image is broken. ``size`` is about how many bytes will be written.
    """

    def __init__(self, names, labels, load, size=0):
        self.names, self.labels, self.load, self.size = names, np.asarray(labels, dtype=np.int64), load, size

    def __len__(self):
        return len(self.names)

    def take(self, order):
        """Some of the images, in the order of these positions."""
        order = np.asarray(order, dtype=np.int64)
        return Split(
            [self.names[i] for i in order],
            self.labels[order],
            lambda position: self.load(int(order[position])),
            self.size * len(order) // max(1, len(self)),
        )

    def shuffled(self, seed):
        """All images in the order that belongs to the seed."""
        # RandomState's stream is frozen by NumPy's promise; the newer Generator's is not.
        return self.take(np.random.RandomState(seed).permutation(len(self)))

    def hold_out(self, fraction, seed):
        """``(kept, held out)`` in this order; of each class ``fraction`` (rounded down) is held out."""
        random, held_out = np.random.RandomState(seed), np.zeros(len(self), dtype=bool)
        for label in np.unique(self.labels):
            mine = random.permutation(np.flatnonzero(self.labels == label))
            held_out[mine[: int(len(mine) * fraction)]] = True
        return self.take(np.flatnonzero(~held_out)), self.take(np.flatnonzero(held_out))


def write_data_set(directory, splits, classes, settings, workers=1, skip_broken=False):
    """Write ``{name: Split}`` as ``name.rec``, .idx and .lst, with labels.txt and manifest.json.

    classes: names in the order of their labels. settings: JSON-able, all that the bytes depend on beside the
    images. A split that is there already is not written again, and one that was interrupted goes on, if the
    settings and the list of images are the same. Broken images are named and, unless ``skip_broken``, an
    error once all are known. Returns the manifest. Raises UserError.
    """
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as error:
        raise UserError("{}: cannot be made: {}".format(directory, error.strerror)) from error
    manifest_path = os.path.join(directory, "manifest.json")
    manifest = read_json(manifest_path)
    if (
        "splits" not in manifest
        or manifest.get("settings") != settings
        or manifest.get("classes") != len(classes)
    ):
        manifest = {"settings": settings, "classes": len(classes), "splits": {}}
    works = [Work(directory, name, split, settings) for name, split in splits.items()]
    works = [work for work in works if not work.is_whole(manifest["splits"].get(work.name))]
    check_space(directory, works)
    for work in works:
        try:
            manifest["splits"][work.name] = work.write(len(classes), workers, skip_broken)
        except KeyboardInterrupt:
            print("\ninterrupted; the same command goes on where this one was", file=sys.stderr)
            raise
        write_text(os.path.join(directory, "labels.txt"), "".join(name + "\n" for name in classes))
        write_text(manifest_path, json.dumps(manifest, indent=1, sort_keys=True) + "\n")
        work.forget()
    return manifest


def check_space(directory, works):
    """UserError where the disc cannot hold what is still to be written."""
    needed = sum(work.split.size + 80 * len(work.split) - work.bytes_there() for work in works)
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise UserError(
            "{}: {:.2f} GB are needed there, and the disc has {:.2f} GB free".format(
                directory, needed / 1e9, free / 1e9
            )
        )


class Work:
    """One split on its way into ``name.rec``; what is safely on the disc is noted in ``name.rec.state``."""

    def __init__(self, directory, name, split, settings):
        self.name, self.split = name, split
        self.path = os.path.join(directory, name + ".rec")
        self.state_path = self.path + ".state"
        self.files = (self.path, index_path_of(self.path))
        order = hashlib.sha256("\n".join(split.names).encode("utf-8", "surrogateescape"))
        order.update(split.labels.tobytes() + str(split.size).encode())
        self.made_of = dict(settings, images=order.hexdigest())
        self.done, self.sizes, self.broken, self.forms = 0, (0, 0), [], collections.Counter()

    def is_whole(self, entry):
        """Is this split written already, as its entry in the manifest says?"""
        return (
            bool(entry)
            and entry.get("images_sha256") == self.made_of["images"]
            and all(
                os.path.exists(path) and os.path.getsize(path) == entry.get(key)
                for path, key in zip(self.files, ("bytes", "index_bytes"))
            )
        )

    def bytes_there(self):
        part = self.path + ".part"
        return os.path.getsize(part) if os.path.exists(part) else 0

    def write(self, classes, workers, skip_broken):
        """Write all that is missing; returns the split's entry in the manifest."""
        digest = hashlib.sha256()
        self.recall(digest)
        if not self.done:
            self.forget()  # what an older run noted does not fit the files that begin now
        with RecordWriter(self.path, resume=self.sizes) as writer, Progress(
            self.name, len(self.split)
        ) as progress:
            self.append(writer, digest, workers, progress)
            self.note(len(self.split), writer)
            if self.broken and not skip_broken:
                raise UserError(
                    "{}: {} of {} images are broken, the first is {} ({}); mend them, or leave them out with "
                    "--skip-broken".format(self.path, len(self.broken), len(self.split), *self.broken[0][1:])
                )
            left_out = {position for position, _, _ in self.broken}
            kept = [position for position in range(len(self.split)) if position not in left_out]
            write_text(
                self.path[: -len("rec")] + "lst",
                "".join("{}\t{}\t{}\n".format(i, self.split.labels[i], self.split.names[i]) for i in kept),
            )
        return {
            "records": len(kept),
            "bytes": self.sizes[0],
            "index_bytes": self.sizes[1],
            "sha256": digest.hexdigest(),
            "images_sha256": self.made_of["images"],
            "per_class": np.bincount(self.split.labels[kept], minlength=classes).tolist(),
            "forms": dict(self.forms),
            "broken": [name for _, name, _ in self.broken],
        }

    def append(self, writer, digest, workers, progress):
        """Convert and write the images that are not done yet."""
        noted = time.monotonic()
        results = in_order(self.convert, range(self.done, len(self.split)), workers)
        for position, (framed, form) in enumerate(results, self.done):
            if framed is None:
                self.broken.append([position, self.split.names[position], form])
                progress.say("{}: {}".format(self.split.names[position], form))
                if len(self.broken) >= MAX_BROKEN and 2 * len(self.broken) > position:
                    writer.keep_parts = False
                    self.forget()
                    raise UserError("{} images cannot be decoded; are these images?".format(len(self.broken)))
            else:
                writer.write_frame(position, framed)
                digest.update(framed)
                self.forms[form] += 1
            progress.show(position + 1)
            if time.monotonic() - noted > SYNC_EVERY:
                self.note(position + 1, writer)
                noted = time.monotonic()

    def convert(self, position):
        """``(framed record, form)`` of an image, or ``(None, problem)`` of a broken one."""
        try:
            payload, form = self.split.load(position)
            return frame(pack_image(position, float(self.split.labels[position]), payload)), form
        except ValueError as error:
            return None, str(error)

    def note(self, done, writer):
        """Remember that so many images are on the disc."""
        self.done, self.sizes = done, writer.sync()
        write_text(
            self.state_path,
            json.dumps(
                {
                    "made_of": self.made_of,
                    "done": done,
                    "sizes": self.sizes,
                    "broken": self.broken,
                    "forms": self.forms,
                }
            ),
        )

    def recall(self, digest):
        """Take up what an interrupted run noted; ``digest`` is fed with the bytes that are there."""
        state = read_json(self.state_path)
        if not state:
            return
        differing = sorted(
            key
            for key in set(self.made_of) | set(state["made_of"])
            if self.made_of.get(key) != state["made_of"].get(key)
        )
        if differing == ["images"] and state["broken"]:
            return  # the images were mended, or taken away
        if differing:
            said = " and ".join([key for key in differing if key != "images"] or differing)
            raise UserError(
                "{}.part was begun with other {}; use the same to go on, or delete {} to start anew".format(
                    self.path, said, self.state_path
                )
            )
        if state["broken"] and state["done"] == len(self.split) and self.is_mended(state["broken"]):
            return
        for path, size in zip(self.files, state["sizes"]):
            if (
                state["done"] == len(self.split)
                and not os.path.exists(path + ".part")
                and os.path.exists(path)
            ):
                os.replace(path, path + ".part")  # it was interrupted between giving the files their names
            if not os.path.exists(path + ".part") or os.path.getsize(path + ".part") < size:
                return
        with open(self.path + ".part", "rb") as file:
            left = state["sizes"][0]
            while left:
                block = file.read(min(left, 1 << 22))
                digest.update(block)
                left -= len(block)
        self.done, self.sizes, self.broken = state["done"], tuple(state["sizes"]), state["broken"]
        self.forms = collections.Counter(state["forms"])

    def is_mended(self, broken):
        """Can one of the images be decoded that were broken when they were converted?"""
        for position, _, _ in broken:
            with contextlib.suppress(ValueError):
                self.split.load(position)
                return True
        return False

    def forget(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.state_path)
