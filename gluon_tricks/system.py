"""Plain facts about this machine's software and hardware; :mod:`gluon_tricks.diagnosis` judges
them.

No package is imported here. Packages are found by their metadata and tried in separate processes,
because a broken build may kill the process that imports it.
"""

import contextlib
import glob
import importlib.metadata
import json
import os
import platform
import re
import shutil
import site
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from .child_processes import end_with_parent, why_it_failed
from .threads import cores

# The libraries that mxnet-cu112's libmxnet.so loads: library -> its wheel's folder under
# site-packages/nvidia.
CUDA_LIBRARIES = {
    "libcudart.so.11.0": "cuda_runtime",
    "libnvrtc.so.11.2": "cuda_nvrtc",
    "libcublas.so.11": "cublas",
    "libcudnn.so.8": "cudnn",
    "libcufft.so.10": "cufft",
    "libcurand.so.10": "curand",
    "libcusolver.so.11": "cusolver",
    "libnccl.so.2": "nccl",
    "libnvToolsExt.so.1": "nvtx",
}
DRIVER_LIBRARY = "libcuda.so.1"

# The code that tries a package; it may print a value as JSON.
TRIALS = {
    "mxnet": """
import mxnet
features = mxnet.runtime.Features()
enabled = [name for name in features if features.is_enabled(name)]
print(json.dumps({"features": enabled, "gpus": mxnet.context.num_gpus()}))
""",
    "horovod": """
import horovod.mxnet as hvd
built = {"Gloo": hvd.gloo_built(), "MPI": hvd.mpi_built(), "NCCL": hvd.nccl_built()}
print(json.dumps({"backends": [name for name in built if built[name]]}))
""",
    "gluoncv": "from gluoncv.model_zoo import get_model",
    "cv2": "import cv2",
    "simplejpeg": "import simplejpeg",
    "sklearn": "import sklearn.datasets",
    "onnx": "import onnx.mapping",
    "onnxruntime": "import onnxruntime",
    "safetensors": "import safetensors",
    "tensorboardX": "import tensorboardX",
}


def gather():
    """All facts below as one dict of JSON values."""
    with ThreadPoolExecutor(4) as pool:
        trials = dict(zip(TRIALS, pool.map(run_python, TRIALS.values())))
    return {
        "python": list(sys.version_info[:3]),
        "machine": platform.system() + " " + platform.machine(),
        "executable": sys.executable,
        "distributions": distributions(),
        "trials": trials,
        "jpegtran": shutil.which("jpegtran"),
        "gpus": gpus(),
        "cuda_libraries": loadable([*CUDA_LIBRARIES, DRIVER_LIBRARY]),
        "cuda_wheels": cuda_wheels(),
        "cores": cores(),
        "threads": None
        if "GLUON_TRICKS_SET_THREADS" in os.environ
        else os.environ.get("OMP_NUM_THREADS"),
        "processor": processor(),
        "folder": os.getcwd(),
        "free_bytes": shutil.disk_usage(".").free,
    }


def distributions(path=None):
    """{normalised name: version} of the installed distributions, or of those in the folders
    ``path``.

    Of two versions, the one that an import finds.
    """
    found = {}
    for distribution in importlib.metadata.distributions(
        **({} if path is None else {"path": path})
    ):
        name = distribution.metadata["Name"]
        if name:  # leftovers of a removed package have none
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), distribution.version)
    return found


def run_python(code, timeout=120):
    """Run ``code`` in a separate process, for at most ``timeout`` seconds.

    Returns {"ok": whether it succeeded, "value": the JSON that it printed or None, "error": why it
    failed}.
    """

    def failure(error):
        return {"ok": False, "value": None, "error": error}

    try:
        done = subprocess.run(
            [sys.executable, "-c", "import json\n" + code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            timeout=timeout,
            preexec_fn=end_with_parent(),
        )
    except subprocess.TimeoutExpired:
        return failure(f"not finished within {timeout} s")
    if done.returncode < 0:
        return failure(f"killed by signal {-done.returncode}")
    if done.returncode:
        return failure(why_it_failed(done))
    return {"ok": True, "value": _last_json(done.stdout), "error": ""}


def _last_json(text):
    """The value of the last line that is JSON, since packages may print other lines; None without
    one.
    """
    for line in reversed(text.splitlines()):
        with contextlib.suppress(ValueError):
            return json.loads(line)
    return None


def loadable(names):
    """{library: whether the dynamic loader finds it and all that it needs}."""
    code = """
import ctypes
def loads(name):
    try:
        return bool(ctypes.CDLL(name))
    except OSError:
        return False
print(json.dumps({name: loads(name) for name in NAMES}))
"""
    return run_python(code.replace("NAMES", repr(list(names))))["value"] or dict.fromkeys(
        names, False
    )


def cuda_wheels():
    """{part: its lib folder} of the nvidia-*-cu11 wheels in this environment, parts as in
    CUDA_LIBRARIES.
    """
    found = {}
    for folder in site.getsitepackages() + [site.getusersitepackages()]:
        for path in glob.glob(os.path.join(glob.escape(folder), "nvidia", "*", "lib")):
            part = os.path.basename(os.path.dirname(path))
            if part in CUDA_LIBRARIES.values():
                found.setdefault(part, path)
    return found


def gpus():
    """[{"name", "driver", "capability": "8.0", or "" if the driver is too old to say}] from
    nvidia-smi.
    """
    for fields in ("name,driver_version,compute_cap", "name,driver_version"):
        command = ["nvidia-smi", "--query-gpu=" + fields, "--format=csv,noheader"]
        try:
            text = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, check=True
            ).stdout.decode()
        except (OSError, subprocess.TimeoutExpired):
            return []
        except subprocess.CalledProcessError:
            continue
        cards = [_gpu(line, fields.count(",") + 1) for line in text.splitlines()]
        return [card for card in cards if card]
    return []


def _gpu(line, cells):
    """The GPU in a line of nvidia-smi with this many cells; None if the line is something else,
    such as a message that there are none.
    """
    name, *numbers = (cell.strip() for cell in line.split(","))
    if len(numbers) + 1 != cells:
        return None
    driver, capability = (*numbers, "")[:2]
    known = re.fullmatch(r"\d+\.\d+", capability)  # else "[N/A]" or the like
    return {"name": name, "driver": driver, "capability": capability if known else ""}


def processor():
    """{"name": the processor's name, "flags": [its instruction sets]} as /proc/cpuinfo has them."""
    try:
        with open("/proc/cpuinfo") as stream:
            text = stream.read()
    except OSError:
        text = ""

    def first(key):
        line = re.search(rf"^{key}\s*:(.*)$", text, re.MULTILINE)
        return line.group(1).strip() if line else ""

    return {"name": first("model name") or platform.processor(), "flags": first("flags").split()}
