"""The images' steps, and the examples for clusters: with stand-ins for what is not here (Docker, a
cluster, GPUs).
"""

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gluon_tricks import config as flags
from gluon_tricks.training.log_files import read

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILES = sorted(ROOT.glob("tools/docker/*.Dockerfile"))
EXAMPLES = ROOT / "docs" / "examples"
INSIDE = "/opt/gluon_tricks"  # the repository's folder in the images


def instructions(dockerfile):
    """``(instruction, words)`` of each line, those that go on in the next put together."""
    text = re.sub(r"\\\n", "", re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.M))
    return [tuple(line.split(" ", 1)) for line in text.splitlines() if line]


def stand_in(folder, name, script):
    path = folder / name
    path.write_text(f"#!/usr/bin/env bash\n{script}\n")
    path.chmod(0o755)


# ---- images
# --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("hadolint"), reason="hadolint is not installed")
def test_hadolint_finds_nothing_in_the_dockerfiles():
    done = subprocess.run(
        ["hadolint", "--ignore", "DL3059", *map(str, DOCKERFILES)], stdout=subprocess.PIPE
    )
    assert len(DOCKERFILES) == 2 and done.returncode == 0, done.stdout.decode()


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_what_an_image_copies_is_there(dockerfile):
    for instruction, words in instructions(dockerfile):
        if instruction == "COPY" and not words.startswith("--from"):
            *sources, _ = words.split()
            assert all(list(ROOT.glob(source)) for source in sources), words


# Answers the scripts' questions, and writes down what it is asked to do, with Horovod's settings.
PYTHON = """case "$*" in
  *'"cp%d%d"'*) echo cp311 ;;
  *version_info*) echo 3.11 ;;
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip "*) { echo "$*"; env | grep ^HOROVOD_; } >> "$LOG" ;;
esac
case "$*" in *" wheel "*) touch "${@: -1}/horovod-0.28.1-cp311-cp311-any.whl" ;; esac"""


def dry_run(dockerfile, folder):
    """Lines of what the image's steps ask apt-get and pip to do; they run in a copy of tools/."""
    bin, log = folder / "bin", folder / "log"
    bin.mkdir()
    shutil.copytree(str(ROOT / "tools"), str(folder / "tools"))
    stand_in(bin, "python3.11", PYTHON)
    stand_in(bin, "apt-get", 'echo "apt-get $*" >> "$LOG"')
    stand_in(bin, "dpkg", "exit 1")
    environment = dict(os.environ, PATH=f"{bin}:/usr/bin:/bin", LOG=str(log))
    for instruction, words in instructions(dockerfile):
        step = words.split(" && ")[0].replace("/tmp/wheels", str(folder / "wheels"))
        if instruction == "RUN" and step.startswith("tools/"):
            done = subprocess.run(
                shlex.split(step), cwd=str(folder), env=environment, stderr=subprocess.PIPE
            )
            assert done.returncode == 0, (step, done.stderr)
    return log.read_text().splitlines()


@pytest.mark.parametrize(
    "dockerfile, extra, settings",
    [
        ("cpu", "cpu", {"HOROVOD_WITHOUT_MPI=1"}),
        ("gpu", "cu112", {"HOROVOD_WITH_MPI=1", "HOROVOD_GPU_OPERATIONS=NCCL"}),
    ],
)
def test_an_images_steps_run_as_makes_do(tmp_path, dockerfile, extra, settings):
    asked = dry_run(ROOT / "tools" / "docker" / f"{dockerfile}.Dockerfile", tmp_path)
    parser = configparser.ConfigParser()
    parser.read(str(ROOT / "setup.cfg"))
    (extras,) = [
        set(found.group(1).split(","))
        for found in (re.search(r"--editable \.\[(.*)\]$", line) for line in asked)
        if found
    ]
    assert extra in extras and extras <= set(parser["options.extras_require"])
    assert not {"cpu", "cu112"} - {extra} & extras
    (build,) = [number for number, line in enumerate(asked) if " wheel " in line]
    assert settings | {"HOROVOD_WITH_MXNET=1", "HOROVOD_WITH_GLOO=1"} <= set(asked[build:])
    installed = [line.split() for line in asked if line.startswith("apt-get install")]
    assert len(installed) == 2 and "cmake" in installed[0] and "cmake" not in installed[1]
    assert "openssh-server" in installed[1]
    assert ("openmpi-bin" in installed[1]) is (dockerfile == "gpu")


def test_parts_and_backends_that_are_not_there_are_named():
    for words in (["install_system.sh", "none"], ["build_horovod.sh", "v", "w", "none"]):
        done = subprocess.run(
            [str(ROOT / "tools" / words[0]), *words[1:]], stderr=subprocess.PIPE, timeout=60
        )
        assert done.returncode == 1 and b"none" in done.stderr


# ---- Kubernetes
# --------------------------------------------------------------------------------------------------

# What the example uses of MPIJob v2beta1 (kubeflow/mpi-operator) and of Kubernetes' core API.
CONTAINER = dict(
    name=str,
    image=str,
    command=[str],
    args=[str],
    resources=dict(limits={"nvidia.com/gpu": int}),
    volumeMounts=[dict(name=str, mountPath=str, readOnly=bool)],
)
VOLUME = dict(
    name=str, persistentVolumeClaim=dict(claimName=str, readOnly=bool), emptyDir=dict(medium=str)
)
REPLICAS = dict(
    replicas=int,
    restartPolicy=str,
    template=dict(spec=dict(containers=[CONTAINER], volumes=[VOLUME])),
)
MPI_JOB = dict(
    apiVersion=str,
    kind=str,
    metadata=dict(name=str),
    spec=dict(
        slotsPerWorker=int,
        runPolicy=dict(cleanPodPolicy=str, backoffLimit=int),
        mpiReplicaSpecs=dict(Launcher=REPLICAS, Worker=REPLICAS),
    ),
)


def unknown(value, schema, where=""):
    """The places in ``value`` of which the schema knows nothing, or another type."""
    if isinstance(schema, type):
        return [] if type(value) is schema else [where]
    if isinstance(schema, list):
        items = enumerate(value) if isinstance(value, list) else [(None, value)]
        return sum((unknown(item, schema[0], f"{where}[{at}]") for at, item in items), [])
    if not isinstance(value, dict):
        return [where]
    found = [f"{where}.{key}" for key in value if key not in schema]
    known = ((key, item) for key, item in value.items() if key in schema)
    return sum((unknown(item, schema[key], f"{where}.{key}") for key, item in known), found)


@pytest.fixture(scope="module")
def job():
    return yaml.safe_load((EXAMPLES / "kubernetes.yaml").read_text())


def test_the_mpi_job_has_fields_that_there_are(job):
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v2beta1", "MPIJob")
    assert unknown(job, MPI_JOB) == []
    assert unknown(dict(job, spec=dict(slots=8)), MPI_JOB) == [".spec.slots"]
    assert unknown(dict(job, metadata=dict(name=1)), MPI_JOB) == [".metadata.name"]


def given_to_python(words, folder, **variables):
    """What a recipe's command line in the image asks Python to do, with a stand-in for it."""
    stand_in(folder, "python", 'printf "%s\\n" "$@"')
    words = [word.replace(INSIDE, str(ROOT)) for word in words]
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", **variables}
    environment.pop("PYTHON", None)
    return subprocess.check_output(words, env=environment, universal_newlines=True).splitlines()


def test_the_mpi_job_trains_a_row_on_all_its_gpus(job, tmp_path):
    launcher, worker = (job["spec"]["mpiReplicaSpecs"][name] for name in ("Launcher", "Worker"))
    start, pod = launcher["template"]["spec"]["containers"][0], worker["template"]["spec"]
    (container,) = pod["containers"]
    slots = job["spec"]["slotsPerWorker"]
    assert start["image"] == container["image"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == slots
    assert {each["name"] for each in container["volumeMounts"]} == {
        each["name"] for each in pod["volumes"]
    }
    assert start["command"][0] == "mpirun"
    words = given_to_python(start["args"], tmp_path)
    assert words[:3] == ["-m", "gluon_tricks", "train"]
    config = flags.parse(words[3:])
    assert (config.kvstore, config.num_gpus) == ("horovod", 1)
    assert config.batch_size * slots * worker["replicas"] == 1024  # the paper's
    mounted = [each["mountPath"] for each in container["volumeMounts"]]
    assert os.path.dirname(config.rec_train) in mounted
    assert os.path.dirname(config.save_dir) in mounted


# ---- Slurm
# --------------------------------------------------------------------------------------------------

APPTAINER = """shift
while [[ $1 == --* ]]; do case $1 in --bind | --pwd) shift 2 ;; *) shift ;; esac; done
shift  # the image
exec "${{@/#\\/opt\\/gluon_tricks/{root}}}\""""
SRUN = """while [[ $1 == --* ]]; do shift; done
exec horovodrun -np "$SLURM_NTASKS" "$@\""""


@pytest.fixture
def slurm(tmp_path):
    """``slurm(srun, *flags)`` runs the job's script with this stand-in for srun; (exit code, what
    scontrol was asked, output).
    """
    bin, asked = tmp_path / "bin", tmp_path / "asked"
    bin.mkdir()
    stand_in(bin, "apptainer", APPTAINER.format(root=str(ROOT).replace("/", "\\/")))
    stand_in(bin, "scontrol", f'echo "$*" >> {asked}')

    def slurm(srun, *words, **variables):
        stand_in(bin, "srun", srun)
        path = [str(bin), os.path.dirname(sys.executable), os.environ["PATH"]]
        given = dict(SLURM_JOB_ID="7", SLURM_NTASKS="2", SLURM_CPUS_PER_TASK="1")
        done = subprocess.run(
            ["bash", str(EXAMPLES / "slurm.sh"), *words],
            env={**os.environ, **given, "PATH": ":".join(path), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            timeout=300,
        )
        return done.returncode, asked.read_text() if asked.exists() else "", done.stdout

    return slurm


@pytest.mark.parametrize("code, requeued", [(0, ""), (143, "requeue 7\n"), (2, "")])
def test_only_a_job_that_was_told_to_end_is_queued_again(slurm, code, requeued):
    assert slurm(f"exit {code}", DATA="/data", RUNS="/runs")[:2] == (code, requeued)


def test_the_jobs_options_stand_before_its_first_command():
    lines = (EXAMPLES / "slurm.sh").read_text().splitlines()
    options = dict(
        line[len("#SBATCH --") :].partition("=")[::2] for line in lines if "#SBATCH" in line
    )
    first = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    assert all("#SBATCH" not in line for line in lines[first:])
    assert options["ntasks-per-node"] == options["gpus-per-node"] and "requeue" in options
    assert options["signal"] == "TERM@120" and "gpus-per-task" not in options


@pytest.mark.slow
def test_the_jobs_line_trains_with_two_workers_on_this_machine(slurm, digits, tmp_path):
    small = "--model resnet18_v1d --classes 10 --input-size 32 --batch-size 2 --max-steps 2"
    small += " --dtype float32 --log-interval 1"
    code, _, output = slurm(
        SRUN, *small.split(), DATA=str(digits), RUNS=str(tmp_path / "runs"), OMP_NUM_THREADS="1"
    )
    assert code == 0, output
    log = read(str(tmp_path / "runs" / "table6_resnet50_v1d_mixup" / "log.jsonl"))
    trained = [record for record in log if record["event"] == "train"]
    assert [record["step"] for record in trained] == [1, 2]
