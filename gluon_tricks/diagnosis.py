"""Judges the software and hardware of this machine: what is there, what is missing or broken, and
how to fix it.

Each ``judge_`` function sees only the facts from :mod:`gluon_tricks.system`, never the machine, and
returns findings.
"""

import re
from typing import List, NamedTuple

from . import system

OK, MISSING, ERROR = "ok", "missing", "error"

MXNET = "1.9.1"
# Both at once, because removing one build removes files of the other.
REMOVE = "pip uninstall -y mxnet mxnet-cu112; "
# mxnet-cu112's wheel has machine code for these compute capabilities, and no PTX that a newer GPU
# could compile. Machine code runs on GPUs with the same major number and the same or a higher minor
# number.
CUDA_CODE = ((5, 0), (6, 0), (7, 0), (8, 0), (8, 6))
AWAY_FROM_MXNET = (
    "train on an older GPU or on the CPU; what is trained runs here in ONNX Runtime "
    "(gluon-tricks export --format onnx) and in PyTorch (gluon-tricks convert)"
)
FEATURES = {
    "CUDA": "CUDA",
    "CUDNN": "cuDNN",
    "NCCL": "NCCL",
    "MKLDNN": "oneDNN",
    "DIST_KVSTORE": "dist KVStore",
}
INSTRUCTIONS = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_vnni": "AVX512 VNNI"}
# module to try: (distributions that provide it, whether it is required, its purpose, how to install
# it)
PACKAGES = {
    "gluoncv": (["gluoncv"], True, "the model zoo", "pip install gluoncv==0.10.5.post0"),
    "cv2": (
        ["opencv-python", "opencv-python-headless"],
        True,
        "images",
        "pip install --force-reinstall --no-deps 'opencv-python<4.12'; "
        "apt-get install libgl1 libglib2.0-0",
    ),
    "simplejpeg": (["simplejpeg"], True, "fast JPEG decoding", "pip install simplejpeg"),
    "sklearn": (["scikit-learn"], False, "the digits of the demo", "pip install scikit-learn"),
    "onnx": (["onnx"], False, "ONNX export", "pip install 'onnx>=1.16.2,<1.19'"),
    "onnxruntime": (
        ["onnxruntime", "onnxruntime-gpu"],
        False,
        "running ONNX",
        "pip install onnxruntime",
    ),
    "safetensors": (
        ["safetensors"],
        False,
        "weights from and to PyTorch",
        "pip install safetensors",
    ),
    "tensorboardX": (["tensorboardx"], False, "TensorBoard logs", "pip install tensorboardX"),
}


class Finding(NamedTuple):
    """What was checked, its status (OK, MISSING or ERROR), what was found, and how to fix it."""

    name: str
    status: str
    text: str
    repair: str = ""


def judge(facts: dict) -> List[Finding]:
    """The findings about ``facts``, a dict as :func:`gluon_tricks.system.gather` returns it."""
    findings = judge_python(facts) + judge_numpy(facts) + judge_mxnet(facts)
    for module in PACKAGES:
        findings += judge_package(facts, module)
    findings += (
        judge_jpegtran(facts)
        + judge_horovod(facts)
        + judge_gpus(facts)
        + judge_newer_gpus(facts)
        + judge_cuda_libraries(facts)
    )
    return findings + judge_threads(facts) + judge_processor(facts) + judge_disk(facts)


def judge_python(facts):
    text = "{}, {}, {}".format(
        ".".join(map(str, facts["python"])), facts["machine"], facts["executable"]
    )
    if not (3, 8) <= tuple(facts["python"][:2]) <= (3, 11):
        return [
            Finding(
                "Python", ERROR, text + "; MXNet runs on 3.8 to 3.11", "make PYTHON=python3.11 demo"
            )
        ]
    if facts["machine"] != "Linux x86_64":
        return [Finding("Python", ERROR, text + "; MXNet's wheels are for Linux x86_64")]
    return [Finding("Python", OK, text)]


def judge_numpy(facts):
    version = facts["distributions"].get("numpy")
    if version and (1, 21) <= numbers(version) < (1, 24):
        return [Finding("numpy", OK, version)]
    text = (
        version + "; MXNet needs numpy below 1.24 (it uses np.bool)" if version else "not installed"
    )
    return [Finding("numpy", ERROR, text, "pip install 'numpy>=1.21,<1.24'")]


def mxnet_builds(facts):
    """{distribution: version} of the installed distributions that provide the module mxnet."""
    build = re.compile(r"mxnet(-native|-mkl|-cu\d+(mkl)?)?$")
    return {
        name: version
        for name, version in sorted(facts["distributions"].items())
        if build.match(name)
    }


def judge_mxnet(facts):
    builds, trial = mxnet_builds(facts), facts["trials"]["mxnet"]
    choice = f"pip install mxnet-cu112=={MXNET} or, without a GPU, pip install mxnet=={MXNET}"
    if not builds:
        return [Finding("MXNet", ERROR, "not installed", choice)]
    text = " and ".join(f"{name} {version}" for name, version in builds.items())
    if trial["ok"]:
        enabled = trial["value"]["features"]
        text += ", {} build active".format("CUDA" if "CUDA" in enabled else "CPU")
    if len(builds) > 1:
        text += "; both provide the module mxnet, so one has overwritten the other"
        return [Finding("MXNet", ERROR, text, REMOVE + choice)]
    if not trial["ok"]:
        library = re.search("libgomp|libquadmath", trial["error"])
        repair = "apt-get install libgomp1 libquadmath0" if library else ""
        return [
            Finding("MXNet", ERROR, "{}; import fails: {}".format(text, trial["error"]), repair)
        ]
    for word, there in (("has", True), ("lacks", False)):
        labels = [label for name, label in FEATURES.items() if (name in enabled) is there]
        text += "; {} {}".format(word, ", ".join(labels) or "nothing")
    name, version = builds.popitem()
    if version != MXNET:
        return [Finding("MXNet", ERROR, text, f"pip install {name}=={MXNET}")]
    return [Finding("MXNet", OK, text)]


def judge_package(facts, module):
    names, needed, purpose, repair = PACKAGES[module]
    there = [name for name in names if name in facts["distributions"]]
    if not there:
        return [Finding(names[0], ERROR if needed else MISSING, "for " + purpose, repair)]
    text = ", ".join("{} {}".format(name, facts["distributions"][name]) for name in there)
    trial = facts["trials"][module]
    if not trial["ok"] and module == "gluoncv" and not facts["trials"]["mxnet"]["ok"]:
        return [Finding(names[0], ERROR, text + "; needs MXNet, see above")]
    if not trial["ok"]:
        return [
            Finding(names[0], ERROR, "{}; import fails: {}".format(text, trial["error"]), repair)
        ]
    return [Finding(names[0], OK, text)]


def judge_jpegtran(facts):
    if facts["jpegtran"]:
        return [Finding("jpegtran", OK, facts["jpegtran"])]
    repair = "apt-get install libjpeg-turbo-progs"
    return [Finding("jpegtran", MISSING, "for gluon-tricks prepare --restart-markers", repair)]


def judge_horovod(facts):
    version, trial = facts["distributions"].get("horovod"), facts["trials"]["horovod"]
    repair = "`make test` builds it with Gloo; with NCCL or MPI see docs/install.md"
    if version is None:
        return [Finding("horovod", MISSING, "for training on several machines", repair)]
    if trial["ok"]:
        text = "{}, backends: {}".format(version, ", ".join(trial["value"]["backends"]))
        return [Finding("horovod", OK, text)]
    if not facts["trials"]["mxnet"]["ok"]:
        return [Finding("horovod", ERROR, version + "; needs MXNet, see above")]
    text = "{}, incomplete: built without its MXNet part ({})".format(version, trial["error"])
    return [Finding("horovod", ERROR, text, "pip uninstall -y horovod; then " + repair)]


def has_cuda_build(facts):
    return any(name.startswith("mxnet-cu") for name in mxnet_builds(facts))


def runs_on(capability):
    """Whether mxnet-cu112 runs on a GPU of compute capability "major.minor"."""
    major, minor = numbers(capability)
    return any(major == code_major and minor >= code_minor for code_major, code_minor in CUDA_CODE)


def judge_gpus(facts):
    cards, trial, cuda = facts["gpus"], facts["trials"]["mxnet"], has_cuda_build(facts)
    to_cpu, to_cuda = (REMOVE + f"pip install {name}=={MXNET}" for name in ("mxnet", "mxnet-cu112"))
    if not cards:
        text = "nvidia-smi shows none" + (
            ", but a CUDA build of MXNet is installed" if cuda else ""
        )
        return [Finding("GPU", MISSING, text, to_cpu if cuda else "")]
    usable = [not card["capability"] or runs_on(card["capability"]) for card in cards]
    findings = []
    for index, card in enumerate(cards):
        text = "{}, driver {}, sm_{}".format(
            card["name"],
            card["driver"],
            card["capability"].replace(".", "") or "? (unknown to the driver)",
        )
        status = OK
        if not usable[index]:
            status = ERROR if cuda and not any(usable) else MISSING
            text += f"; cannot run MXNet {MXNET}, which has code for sm_50, 60, 70, 80 and 86"
        findings.append(Finding(f"GPU {index}", status, text))
    if not any(usable):
        return findings + [
            Finding("GPUs used", MISSING, "none of these can be", to_cpu if cuda else "")
        ]
    if not cuda:
        repair = to_cuda + "; see docs/install.md"
        return findings + [
            Finding("GPUs used", MISSING, "none: MXNet's CPU build is installed", repair)
        ]
    seen = trial["value"]["gpus"] if trial["ok"] else 0
    return findings + [Finding("GPUs used", OK if seen else ERROR, f"MXNet sees {seen}")]


def judge_newer_gpus(facts):
    """What to do with GPUs newer than MXNet; nothing without one."""
    known = [card["capability"] for card in facts["gpus"] if card["capability"]]
    newer = {each for each in known if numbers(each) > max(CUDA_CODE) and not runs_on(each)}
    if not newer:
        return []
    text = "no wheel of MXNet is for {}".format(
        ", ".join("sm_" + each.replace(".", "") for each in sorted(newer, key=numbers))
    )
    return [Finding("newer GPUs", MISSING, text, AWAY_FROM_MXNET)]


def judge_cuda_libraries(facts):
    """The libraries that a CUDA build of MXNet loads, which its wheel does not contain; nothing for
    a CPU build.
    """
    if not has_cuda_build(facts):
        return []
    absent = [name for name, there in facts["cuda_libraries"].items() if not there]
    findings = []
    if system.DRIVER_LIBRARY in absent:
        absent.remove(system.DRIVER_LIBRARY)
        text = system.DRIVER_LIBRARY + " is missing"
        findings.append(Finding("CUDA driver", ERROR, text, "install NVIDIA's driver"))
    if not absent:
        return findings + [Finding("CUDA 11", OK, "all libraries that MXNet loads are there")]
    if all(system.CUDA_LIBRARIES[name] in facts["cuda_wheels"] for name in absent):
        text = "the nvidia wheels are installed, but the loader does not search their folders"
        repair = 'export LD_LIBRARY_PATH="$(gluon-tricks doctor --library-path)"'
    else:
        text, repair = (
            "missing: " + ", ".join(absent),
            "pip install -e '.[cuda11]', or a CUDA 11.2 toolkit",
        )
    return findings + [Finding("CUDA 11", ERROR, text, repair)]


def judge_threads(facts):
    setting = "OMP_NUM_THREADS={}".format(facts["threads"])
    if facts["threads"] is None:
        setting = "OMP_NUM_THREADS is unset, gluon-tricks sets it to the number of cores"
    return [Finding("threads", OK, "{} cores; {}".format(facts["cores"], setting))]


def judge_processor(facts):
    flags = facts["processor"]["flags"]
    known = [name for flag, name in INSTRUCTIONS.items() if flag in flags]
    text = ", ".join([facts["processor"]["name"]] + known)
    if "avx512_vnni" not in flags:
        text += "; no AVX512 VNNI, so INT8 gains less"
    return [Finding("processor", OK, text)]


def judge_disk(facts):
    return [
        Finding(
            "disk", OK, "{:.1f} GB free in {}".format(facts["free_bytes"] / 1e9, facts["folder"])
        )
    ]


def numbers(version):
    """The numbers at the beginning of a version: "1.24.0rc1" -> (1, 24, 0)."""
    return tuple(int(number) for number in re.match(r"\d+(?:\.\d+)*", version).group().split("."))
