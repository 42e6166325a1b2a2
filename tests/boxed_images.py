"""Synthetic images with boxes, in the formats of VOC and COCO."""

import numpy as np
import simplejpeg


def jpeg(seed, height=24, width=32):
    image = np.random.RandomState(seed).randint(0, 255, (height, width, 3)).astype(np.uint8)
    return simplejpeg.encode_jpeg(image, 90)


def voc_xml(objects, height=24, width=32, head=""):
    """VOC's XML of ``(name, xmin, ymin, xmax, ymax, difficult)``, which count pixels from 1."""
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    rows = "".join(
        f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmax>{right}</xmax>"
        f"<xmin>{left}</xmin><ymax>{bottom}</ymax><ymin>{top}</ymin></bndbox>"
        "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part></object>"
        for name, left, top, right, bottom, difficult in objects
    )
    return f"{head}<annotation><filename>x</filename>{size if width else ''}{rows}</annotation>"


def objects(seed, classes, height=24, width=32):
    """Zero to three objects, of random boxes."""
    random = np.random.RandomState(seed)
    found = []
    for _ in range(seed % 4):
        left, top = random.randint(1, width - 8), random.randint(1, height - 8)
        right, bottom = random.randint(left + 1, width + 1), random.randint(top + 1, height + 1)
        found.append((classes[random.randint(len(classes))], left, top, right, bottom, seed % 2))
    return found
