import copy
import json
import os
import subprocess
import sys

import pytest

from gluon_tricks import cli, diagnosis, system

GOOD = {"ok": True, "value": None, "error": ""}
# A machine without a GPU on which everything is as it should be.
CPU_HOST = {
    "python": [3, 11, 2],
    "machine": "Linux x86_64",
    "executable": "/venv/bin/python",
    "distributions": {
        "numpy": "1.23.5",
        "mxnet": "1.9.1",
        "gluoncv": "0.10.5.post0",
        "opencv-python": "4.11.0.86",
        "simplejpeg": "1.9.0",
        "scikit-learn": "1.7.2",
        "onnx": "1.18.0",
        "onnxruntime": "1.31.1",
        "safetensors": "0.8.0",
        "tensorboardx": "2.6.5",
        "horovod": "0.28.1",
    },
    "trials": {
        **{name: GOOD for name in system.TRIALS},
        "mxnet": {
            "ok": True,
            "value": {"features": ["MKLDNN", "DIST_KVSTORE"], "gpus": 0},
            "error": "",
        },
        "horovod": {"ok": True, "value": {"backends": ["Gloo"]}, "error": ""},
    },
    "jpegtran": "/usr/bin/jpegtran",
    "gpus": [],
    "cuda_libraries": dict.fromkeys([*system.CUDA_LIBRARIES, system.DRIVER_LIBRARY], False),
    "cuda_wheels": {},
    "cores": 8,
    "threads": "8",
    "processor": {"name": "Some processor", "flags": ["avx2", "avx512f", "avx512_vnni"]},
    "folder": "/data",
    "free_bytes": 5e11,
}


@pytest.fixture
def cpu_host():
    return copy.deepcopy(CPU_HOST)


@pytest.fixture
def gpu_host(cpu_host):
    """Eight V100 with the CUDA build and all libraries."""
    cpu_host["distributions"]["mxnet-cu112"] = cpu_host["distributions"].pop("mxnet")
    features = ["CUDA", "CUDNN", "MKLDNN", "DIST_KVSTORE"]
    cpu_host["trials"]["mxnet"]["value"] = {"features": features, "gpus": 8}
    card = {"name": "Tesla V100-SXM2-16GB", "driver": "470.57.02", "capability": "7.0"}
    cpu_host["gpus"] = [dict(card) for _ in range(8)]
    cpu_host["cuda_libraries"] = dict.fromkeys(cpu_host["cuda_libraries"], True)
    return cpu_host


def errors(facts):
    return {
        finding.name: finding
        for finding in diagnosis.judge(facts)
        if finding.status == diagnosis.ERROR
    }


def finding(facts, name):
    return {each.name: each for each in diagnosis.judge(facts)}[name]


def failure(error):
    return {"ok": False, "value": None, "error": error}


def test_a_missing_jpegtran_is_no_error_and_says_what_it_is_for(cpu_host):
    cpu_host["jpegtran"] = None
    found = finding(cpu_host, "jpegtran")
    assert found.status == diagnosis.MISSING and "--restart-markers" in found.text
    assert found.repair == "apt-get install libjpeg-turbo-progs"


def test_a_whole_cpu_host_has_no_error_and_misses_only_a_gpu(cpu_host):
    assert [each.name for each in diagnosis.judge(cpu_host) if each.status != diagnosis.OK] == [
        "GPU"
    ]
    assert "CPU build active" in finding(cpu_host, "MXNet").text
    assert "lacks CUDA, cuDNN, NCCL" in finding(cpu_host, "MXNet").text


def test_a_whole_gpu_host_has_nothing_but_ok(gpu_host):
    assert {each.status for each in diagnosis.judge(gpu_host)} == {diagnosis.OK}
    assert "CUDA build active" in finding(gpu_host, "MXNet").text
    assert finding(gpu_host, "GPUs used").text == "MXNet sees 8"


def test_both_builds_of_mxnet_at_once_are_an_error_that_names_them_and_the_repair(cpu_host):
    cpu_host["distributions"]["mxnet-cu112"] = "1.9.1"
    found = errors(cpu_host)["MXNet"]
    assert "mxnet 1.9.1 and mxnet-cu112 1.9.1" in found.text and "CPU build active" in found.text
    assert found.repair.startswith(
        "pip uninstall -y mxnet mxnet-cu112; pip install mxnet-cu112==1.9.1"
    )
    assert found.repair.endswith("pip install mxnet==1.9.1")


def test_no_mxnet_is_an_error_that_names_both_builds(cpu_host):
    del cpu_host["distributions"]["mxnet"]
    cpu_host["trials"]["mxnet"] = failure("ModuleNotFoundError: No module named 'mxnet'")
    repair = errors(cpu_host)["MXNet"].repair
    assert "pip install mxnet-cu112==1.9.1" in repair and "pip install mxnet==1.9.1" in repair


def test_an_mxnet_that_cannot_be_imported_says_why(cpu_host):
    cpu_host["trials"]["mxnet"] = failure(
        "OSError: libquadmath.so.0: cannot open shared object file"
    )
    found = errors(cpu_host)["MXNet"]
    assert (
        "libquadmath.so.0" in found.text and found.repair == "apt-get install libgomp1 libquadmath0"
    )


def test_another_version_of_mxnet_is_an_error(cpu_host):
    cpu_host["distributions"]["mxnet"] = "1.8.0.post0"
    assert errors(cpu_host)["MXNet"].repair == "pip install mxnet==1.9.1"


def test_packages_that_only_sound_like_mxnet_are_no_builds_of_it(cpu_host):
    cpu_host["distributions"].update({"mxnet-tools": "1.0", "mxnetx": "2.0"})
    assert list(diagnosis.mxnet_builds(cpu_host)) == ["mxnet"]


def test_a_horovod_without_its_mxnet_part_is_called_incomplete(cpu_host):
    reason = "ImportError: Extension horovod.mxnet has not been built"
    cpu_host["trials"]["horovod"] = failure(reason)
    found = errors(cpu_host)["horovod"]
    assert (
        "incomplete" in found.text
        and reason in found.text
        and "pip uninstall -y horovod" in found.repair
    )


def test_what_needs_mxnet_is_not_blamed_if_mxnet_itself_is_broken(cpu_host):
    for module in ("mxnet", "horovod", "gluoncv"):
        cpu_host["trials"][module] = failure("killed by signal 11")
    found = errors(cpu_host)
    assert found["horovod"].text == "0.28.1; needs MXNet, see above"
    assert found["gluoncv"].text == "gluoncv 0.10.5.post0; needs MXNet, see above"


@pytest.mark.parametrize(
    "name", ["horovod", "onnx", "onnxruntime", "safetensors", "tensorboardx", "scikit-learn"]
)
def test_an_absent_optional_part_is_missing_and_no_error(cpu_host, name):
    del cpu_host["distributions"][name]
    assert not errors(cpu_host)
    assert finding(cpu_host, name).status == diagnosis.MISSING and finding(cpu_host, name).repair


@pytest.mark.parametrize("name", ["numpy", "gluoncv", "opencv-python", "simplejpeg"])
def test_an_absent_needed_part_is_an_error_with_a_repair(cpu_host, name):
    del cpu_host["distributions"][name]
    assert errors(cpu_host)[name].repair.startswith("pip install")


def test_an_installed_part_that_cannot_be_imported_is_an_error(cpu_host):
    cpu_host["trials"]["cv2"] = failure("ImportError: libGL.so.1: cannot open shared object file")
    assert "libGL.so.1" in errors(cpu_host)["opencv-python"].text


def test_numpy_before_1_21_and_from_1_24_on_is_an_error(cpu_host):
    good = []
    for version in ("1.20.3", "1.21.0", "1.23.5", "1.24.0rc1", "1.24.0", "1.26.4", "2.1.0"):
        cpu_host["distributions"]["numpy"] = version
        if "numpy" not in errors(cpu_host):
            good.append(version)
    assert good == ["1.21.0", "1.23.5"]


def test_python_3_8_to_3_11_fit(cpu_host):
    good = []
    for minor in range(6, 15):
        cpu_host["python"] = [3, minor, 1]
        if "Python" not in errors(cpu_host):
            good.append(minor)
    assert good == [8, 9, 10, 11]


@pytest.mark.parametrize(
    "capability, good",
    [
        ("3.5", False),  # K40
        ("5.2", True),  # GTX 980
        ("6.1", True),  # GTX 1080
        ("7.0", True),  # V100
        ("7.5", True),  # T4
        ("8.0", True),  # A100
        ("8.6", True),  # RTX 3090
        ("8.9", True),  # L4, RTX 4090
        ("9.0", False),  # H100
        ("10.0", False),  # B200
        ("12.0", False),  # RTX 5090
    ],
)
def test_which_gpus_the_cuda_build_has_code_for(capability, good):
    assert diagnosis.runs_on(capability) is good


def test_an_h100_is_an_error_under_the_cuda_build(gpu_host):
    gpu_host["gpus"] = [{"name": "NVIDIA H100 80GB HBM3", "driver": "535.104", "capability": "9.0"}]
    found = errors(gpu_host)["GPU 0"]
    assert "NVIDIA H100 80GB HBM3" in found.text and "sm_90" in found.text
    assert "pip install mxnet==1.9.1" in finding(gpu_host, "GPUs used").repair


@pytest.mark.parametrize(
    "capabilities, named",
    [
        (["7.0", "8.9"], ""),
        (["3.5"], ""),
        ([""], ""),
        (["8.0", "9.0", "9.0", "12.0"], "sm_90, sm_120"),
    ],
)
def test_the_ways_out_are_named_once_for_gpus_newer_than_the_wheel(gpu_host, capabilities, named):
    gpu_host["gpus"] = [dict(gpu_host["gpus"][0], capability=each) for each in capabilities]
    found = [each for each in diagnosis.judge(gpu_host) if each.name == "newer GPUs"]
    assert [each.text for each in found] == ["no wheel of MXNet is for " + named] * bool(named)
    for way in ("older GPU", "CPU", "export --format onnx", "PyTorch (gluon-tricks convert)"):
        assert all(way in each.repair for each in found)


def test_an_h100_next_to_a_gpu_that_fits_is_no_error(gpu_host):
    gpu_host["gpus"][3]["capability"] = "9.0"
    assert not errors(gpu_host) and finding(gpu_host, "GPU 3").status == diagnosis.MISSING


def test_a_gpu_under_the_cpu_build_is_told_how_to_be_used(cpu_host):
    cpu_host["gpus"] = [{"name": "A100", "driver": "525", "capability": "8.0"}]
    assert not errors(cpu_host)
    assert "pip install mxnet-cu112==1.9.1" in finding(cpu_host, "GPUs used").repair


def test_a_driver_too_old_to_tell_the_capability_is_no_error(gpu_host):
    for card in gpu_host["gpus"]:
        card["capability"] = ""
    assert not errors(gpu_host)


def test_missing_cuda_libraries_are_named_with_the_extra_that_brings_them(gpu_host):
    gpu_host["cuda_libraries"]["libcudnn.so.8"] = gpu_host["cuda_libraries"]["libnccl.so.2"] = False
    found = errors(gpu_host)["CUDA 11"]
    assert found.text == "missing: libcudnn.so.8, libnccl.so.2" and "cuda11" in found.repair


def test_installed_nvidia_wheels_off_the_loaders_path_are_told_from_missing_ones(gpu_host):
    gpu_host["cuda_libraries"]["libcudnn.so.8"] = False
    gpu_host["cuda_wheels"] = {"cudnn": "/venv/nvidia/cudnn/lib"}
    assert "LD_LIBRARY_PATH" in errors(gpu_host)["CUDA 11"].repair


def test_a_missing_driver_is_an_error_of_the_cuda_build_alone(gpu_host, cpu_host):
    gpu_host["cuda_libraries"][system.DRIVER_LIBRARY] = False
    assert "driver" in errors(gpu_host)["CUDA driver"].repair
    assert "CUDA driver" not in {each.name for each in diagnosis.judge(CPU_HOST)}


def test_threads_that_the_command_itself_set_are_not_called_the_users(cpu_host, monkeypatch):
    cpu_host["threads"] = None
    assert "unset" in finding(cpu_host, "threads").text
    cpu_host["threads"] = "3"
    assert "OMP_NUM_THREADS=3" in finding(cpu_host, "threads").text


def test_an_import_that_kills_its_process_is_reported_and_survived():
    assert system.run_python("import os; os.abort()")["error"] == "killed by signal 6"


def test_an_import_that_does_not_end_is_reported():
    answer = system.run_python("import time; time.sleep(60)", timeout=0.5)
    assert not answer["ok"] and "0.5 s" in answer["error"]


def test_what_an_import_prints_is_no_answer():
    answer = system.run_python("print('a banner'); print(json.dumps([1])); print('goodbye')")
    assert answer == {"ok": True, "value": [1], "error": ""}
    assert system.run_python("print('a banner')")["value"] is None


def test_distributions_are_found_by_their_metadata_alone(tmp_path):
    for name in ("mxnet", "mxnet_cu112"):
        folder = tmp_path / (name + "-1.9.1.dist-info")
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.9.1\n")
    assert system.distributions([str(tmp_path)]) == {"mxnet": "1.9.1", "mxnet-cu112": "1.9.1"}


@pytest.mark.parametrize("old", [False, True], ids=["driver with compute_cap", "driver without"])
def test_gpus_are_read_from_nvidia_smi(tmp_path, monkeypatch, old):
    script = tmp_path / "nvidia-smi"
    script.write_text(
        "#!/bin/sh\ncase $1 in *compute_cap) {}echo 'NVIDIA A100, 525.60.13, 8.0';; "
        "*) echo 'Tesla V100, 418.67';; esac\n".format("exit 2;" if old else "")
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) + os.pathsep + os.environ["PATH"])
    a100 = {"name": "NVIDIA A100", "driver": "525.60.13", "capability": "8.0"}
    v100 = {"name": "Tesla V100", "driver": "418.67", "capability": ""}
    assert system.gpus() == [v100 if old else a100]


def test_what_nvidia_smi_cannot_say_is_left_out(tmp_path, monkeypatch):
    script = tmp_path / "nvidia-smi"
    lines = "No devices were found", "NVIDIA A100, 525.60.13, [N/A]"
    script.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) + os.pathsep + os.environ["PATH"])
    assert system.gpus() == [{"name": "NVIDIA A100", "driver": "525.60.13", "capability": ""}]


def test_the_folders_of_the_wheels_are_a_search_path_and_no_json(monkeypatch, capsys):
    wheels = {"nccl": "/site/nvidia/nccl/lib", "cublas": "/site/nvidia/cublas/lib"}
    monkeypatch.setattr(system, "cuda_wheels", lambda: wheels)
    assert cli.main(["doctor", "--library-path"]) == 0
    assert capsys.readouterr().out == "/site/nvidia/cublas/lib:/site/nvidia/nccl/lib\n"
    assert cli.main(["doctor", "--library-path", "--json", "-"]) == 2
    assert "--json has no effect with --library-path" in capsys.readouterr().err


def test_the_command_imports_none_of_the_packages_that_it_looks_for():
    code = (
        "import sys, gluon_tricks.commands.doctor; "
        "sys.exit(len({'mxnet', 'numpy', 'cv2', 'gluoncv', 'horovod'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


@pytest.mark.slow
def test_the_command_finds_this_environment_whole(tmp_path):
    report = tmp_path / "doctor.json"
    command = [sys.executable, "-m", "gluon_tricks", "doctor", "--json", str(report)]
    done = subprocess.run(command, stdout=subprocess.PIPE, universal_newlines=True, timeout=300)
    answer = json.loads(report.read_text())
    assert done.returncode == 0 and answer["ok"]
    assert answer["facts"]["python"] == list(sys.version_info[:3])
    assert answer["facts"]["trials"]["horovod"]["value"]["backends"] == ["Gloo"]
    for each in answer["findings"]:
        assert each["name"] in done.stdout


@pytest.mark.slow
def test_the_command_works_if_mxnet_kills_whoever_imports_it(tmp_path):
    (tmp_path / "mxnet.py").write_text("import os\nos.abort()\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "gluon_tricks", "doctor"],
        env=environment,
        stdout=subprocess.PIPE,
        universal_newlines=True,
        timeout=300,
    )
    assert done.returncode == 1
    assert "killed by signal 6" in done.stdout
