"""What a RecordIO file holds: counts, classes, the sizes of its images."""

import collections
import contextlib

import numpy as np

from ..text import counted, printable
from . import jpeg
from .box_records import DIFFICULT, is_box_label, rows_of
from .decode import PNG, decode, jpeg_header
from .parallel import Progress, ordered_map
from .records import RecordFile

SAMPLE = 1000  # images whose size is read


def describe(path, workers=1):
    """What a file holds, as a JSON-able dict. UserError if it cannot be read or a record is
    damaged.
    """
    with RecordFile(path) as file:
        labels, several, boxes = [], 0, []
        with Progress("labels", len(file)) as progress:
            for done, label in enumerate(
                ordered_map(file.read_label, range(len(file)), workers), 1
            ):
                if is_box_label(label):
                    boxes.append(label)
                elif np.ndim(label):
                    several += 1
                else:
                    labels.append(label)
                progress.show(done)
        sample = np.unique(np.linspace(0, len(file) - 1, min(SAMPLE, len(file))).astype(int))
        images = list(ordered_map(lambda position: look(file, position), sample.tolist(), workers))
        report = {
            "path": path,
            "bytes": file.size,
            "records": len(file),
            "keys": [int(file.keys.min()), int(file.keys.max())],
            "with_several_labels": several,
            "sampled_images": len(images),
            "formats": dict(collections.Counter(kind for kind, _, _, _ in images)),
        }
    if boxes:
        report["boxes"] = describe_boxes(boxes)
    labels = np.array(labels)
    if labels.size and np.all(np.abs(labels) < 2**53) and np.all(labels == np.floor(labels)):
        values, counts = np.unique(labels.astype(np.int64), return_counts=True)
        report["images_of_class"] = dict(zip([str(value) for value in values], counts.tolist()))
    elif labels.size:
        report["labels_from_to"] = [float(np.nanmin(labels)), float(np.nanmax(labels))]
    for place, name in enumerate(("height", "width", "encoded_bytes"), 1):
        values = [image[place] for image in images if image[place] is not None]
        if values:
            report[name] = dict(
                zip(
                    ("min", "median", "max"),
                    np.percentile(values, [0, 50, 100]).astype(int).tolist(),
                )
            )
    return report


def describe_boxes(labels):
    """Counts of the boxes in the labels of images; a damaged label counts as broken."""
    found = []
    for label in labels:
        with contextlib.suppress(ValueError):
            found.append(rows_of(label))
    classes = [f"{row[0]:g}" for rows in found for row in rows]
    kinds = [row[5] for rows in found for row in rows if len(row) > 5]
    return {
        "images": len(labels),
        "broken": len(labels) - len(found),
        "without": sum(not len(rows) for rows in found),
        "difficult": kinds.count(DIFFICULT),
        "of_class": dict(collections.Counter(sorted(classes, key=float))),
    }


def look(file, position):
    """``(format, height, width, bytes)`` of an image; None for the sizes of a broken one."""
    payload = file.read(position)[1]
    kind = "JPEG" if payload[:3] == jpeg.BEGIN else "PNG" if payload[:8] == PNG else "other"
    try:
        if kind == "JPEG":
            height, width = jpeg_header(payload)[:2]
            scan = jpeg.one_scan(payload)
            kind = "JPEG with restart markers" if scan and scan.interval else kind
        else:
            height, width = decode(payload).shape[:2]
    except ValueError:
        return "broken", None, None, len(payload)
    return kind, height, width, len(payload)


def lines_of(report):
    """The report as text for a person."""
    held = f"{counted(report['records'], 'record')}, {counted(report['bytes'], 'byte')}"
    keys = "keys {} to {}".format(*report["keys"])
    lines = [f"{printable(report['path'])}: {held}, {keys}"]
    if report["with_several_labels"]:
        lines.append(f"several labels: {counted(report['with_several_labels'], 'record')}")
    if "boxes" in report:
        boxes = report["boxes"]
        lines.append(
            "boxes: {} ({difficult} difficult) in {} ({without} without)".format(
                sum(boxes["of_class"].values()), counted(boxes["images"], "image"), **boxes
            )
            + f", broken labels: {boxes['broken']}" * bool(boxes["broken"])
        )
        of_class = ", ".join(f"{label}: {n}" for label, n in boxes["of_class"].items())
        lines.append(f"boxes of class: {of_class}")
    if "images_of_class" in report:
        counts = report["images_of_class"]
        ordered = sorted(counts, key=lambda label: (counts[label], int(label)))
        lines.append(
            f"classes: {len(counts)}, labels {min(map(int, counts))} to {max(map(int, counts))}, "
            f"images of a class: {counts[ordered[0]]} to {counts[ordered[-1]]}, "
            f"median {np.median(list(counts.values())):g}"
        )
        shown = (
            sorted(counts, key=int) if len(counts) <= 20 else ordered[:5] + ["..."] + ordered[-5:]
        )
        lines.append(
            "images of class: "
            + ", ".join(label if label == "..." else f"{label}: {counts[label]}" for label in shown)
        )
    elif "labels_from_to" in report:
        lines.append("labels: from {:g} to {:g}, not all whole".format(*report["labels_from_to"]))
    lines.append(
        "images ({} looked at): {}".format(
            report["sampled_images"],
            ", ".join(f"{n} {kind}" for kind, n in report["formats"].items()),
        )
    )
    for name, unit in (("height", "pixels"), ("width", "pixels"), ("encoded_bytes", "bytes")):
        if name in report:
            lines.append(
                "{}: {min} to {max} {}, median {median}".format(
                    name.replace("_", " "), unit, **report[name]
                )
            )
    return "\n  ".join(lines)
