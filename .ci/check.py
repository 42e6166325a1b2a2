"""Checks that a test run tested everything: `check.py JUNIT_REPORT` exits with 1 if a test was
skipped, if none ran, or if the environment lacks a package whose tests skip themselves without it.
"""

import importlib
import sys
import xml.etree.ElementTree as ElementTree

PARTS = (
    "mxnet",
    "gluoncv",
    "cv2",
    "horovod.mxnet",
    "onnx",
    "onnxruntime",
    "pycocotools",
    "safetensors",
    "tensorboardX",
    "sklearn",
)


def problems(report):
    """The problems of the run that wrote the JUnit XML file ``report``, one line each."""
    found = []
    try:
        cases = ElementTree.parse(report).getroot().findall(".//testcase")
    except (OSError, ElementTree.ParseError) as error:
        return [f"pytest left no report ({error})"]
    if not cases:
        found.append("no test ran")
    for case in cases:
        for mark in case.findall("skipped"):
            if mark.get("type") != "pytest.xfail":  # a test that is expected to fail did run
                found.append(
                    "skipped: {}::{}: {}".format(
                        case.get("classname"), case.get("name"), mark.get("message")
                    )
                )
    return found


def missing():
    """A line for each of PARTS that cannot be imported here."""
    found = []
    for name in PARTS:
        try:
            importlib.import_module(name)
        except Exception as error:  # a broken package may raise anything
            found.append(f"missing: {name} ({error})")
    return found


if __name__ == "__main__":
    lines = problems(sys.argv[1]) + missing()
    for line in lines:
        print(line)
    sys.exit(1 if lines else 0)
