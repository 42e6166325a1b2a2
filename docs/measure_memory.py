"""Prints docs/detection.md's table of memory in a training on images of many sizes.

    python docs/measure_memory.py [STEPS]

It runs ``gluon-tricks train`` with a tiny Faster-RCNN, each step on two images with sides of 48 to
128 pixels. Each number is the process's resident memory in MB at a step. To measure without the
limit of gluon_tricks/onednn_cache.py, set MXNET_MKLDNN_CACHE_NUM=-1 in the environment.
"""

import os
import re
import subprocess
import sys
import tempfile

import cv2
import numpy as np

from gluon_tricks.data.box_records import boxes_of, pack_boxes
from gluon_tricks.data.records import RecordWriter

IMAGES = 200
FLAGS = """
    --task detection --model faster_rcnn_resnet18_v1d --classes 2 --lr 0.0001 --batch-size 2 -j 1
    --input-size 48 --max-side 128 --anchor-scales 1,2 --rpn-channels 8 --roi-size 2 --max-boxes 4
    --proposals 24,12 --rpn-sample 16 --roi-sample 8 --save-frequency 0 --num-epochs 100000
""".split()


def write(path):
    """IMAGES of noise at ``path``, each with a box; their sides have ratios from 1 to 2.7."""
    random = np.random.RandomState(0)
    with RecordWriter(path) as writer:
        for key in range(IMAGES):
            size = np.array([48, 48 + random.randint(81)])
            height, width = size if key % 2 else size[::-1]
            label = pack_boxes(boxes_of([[8, 8, 39, 39, key % 2, 0]]), height, width)
            image = random.randint(0, 256, (height, width, 3)).astype(np.uint8)
            writer.write(key, label, cv2.imencode(".png", image)[1].tobytes())


def resident(process):
    """The MB that a process has in memory."""
    with open(f"/proc/{process}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measured(steps, interval):
    """Yield (step, MB) of a training every ``interval`` steps."""
    with tempfile.TemporaryDirectory() as folder:
        records = os.path.join(folder, "train.rec")
        write(records)
        command = [sys.executable, "-u", "-m", "gluon_tricks", "train", *FLAGS]
        command += ["--rec-train", records, "--save-dir", os.path.join(folder, "run")]
        command += ["--max-steps", str(steps), "--log-interval", str(interval)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                step = re.search(r"step (\d+):", line)
                if step:
                    yield int(step[1]), resident(process.pid)
        if process.returncode:
            raise SystemExit(f"the training ended with {process.returncode}")


if __name__ == "__main__":
    total = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    for step, megabytes in measured(total, total // 20):
        print(f"{step:5} {megabytes:.0f}", flush=True)
