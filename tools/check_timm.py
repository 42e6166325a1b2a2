#!/usr/bin/env python
"""Compares networks written by `gluon-tricks convert` with timm's or torchvision's.

It takes two steps, since MXNet and PyTorch need different versions of NumPy. In an environment with
gluon_tricks, `--write FOLDER` makes each network of docs/convert.md (or the given ones, such as
resnet50_v1d) with random weights, and writes a folder in FOLDER with the file, random images and
the outputs. In one with PyTorch, timm and torchvision, `--compare FOLDER` loads each file strictly,
and prints the largest difference of an output relative to the largest output. It exits with 1 if
one is above 1e-4, and removes the folders of the others.

`--facts FILE`, also there, updates a FILE like tests/models/state_dicts.json for the networks that
it names.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import sys

import numpy as np

WEIGHTS, OUTPUTS = "net.safetensors", "outputs.npz"
ODD = 193  # another size of images, for networks that take any
ONE_SIZE = ("vgg", "alexnet", "inception", "hrnet")
TOLERANCE = 1e-4  # relative to the largest output, in float32
TRAINING = re.compile(r".*num_batches_tracked|(AuxLogits|aux[12])\..*").fullmatch


def write(folder, chosen):
    """A folder for each (network, library) of the table."""
    from gluon_tricks.models.counterparts.table import TABLE

    for (identity, library), counterpart in TABLE.items():
        if not chosen or identity.model in chosen:
            name = f"{identity.model}-{library}-{counterpart.architecture}"
            _write(os.path.join(folder, name), identity, library)
            print(name, flush=True)


def _write(folder, identity, library):
    import mxnet as mx

    from gluon_tricks import models
    from gluon_tricks.models import foreign

    os.makedirs(folder, exist_ok=True)
    model, options = identity
    mx.random.seed(0)
    net = models.get_model(model, **dict(options))
    net.initialize(mx.init.MSRAPrelu())
    random, size = np.random.default_rng(0), models.input_size(model)
    sizes = [size] if model.startswith(ONE_SIZE) else [size, ODD]
    held = {f"images{n}": random.standard_normal((2, 3, n, n)).astype("float32") for n in sizes}
    net(mx.nd.array(held[f"images{size}"][:1]))
    for name, parameter in net.collect_params().items():
        if not name.endswith("weight"):
            low = 0.5 if name.endswith(("var", "gamma")) else -0.5
            parameter.set_data(mx.nd.random.uniform(low, 1, parameter.shape))
    for n in sizes:
        held[f"outputs{n}"] = net(mx.nd.array(held[f"images{n}"])).asnumpy()
    foreign.theirs(net, library).write(os.path.join(folder, WEIGHTS))
    np.savez(os.path.join(folder, OUTPUTS), **held)


def compare(folder):
    """Compare all folders; return the exit code, 1 if outputs differ by more than float32's
    rounding.
    """
    failed = 0
    for name in sorted(os.listdir(folder)):
        place = os.path.join(folder, name)
        difference = _difference(place, *name.split("-")[1:])
        print(f"{name}: {difference:.1e}", flush=True)
        if difference < TOLERANCE:
            shutil.rmtree(place)
        else:
            failed = 1
    return failed


def _difference(folder, library, architecture):
    import torch
    from safetensors.torch import load_file

    net = _make(library, architecture)
    net.load_state_dict(_with_counters(net, load_file(os.path.join(folder, WEIGHTS))), strict=True)
    held, worst = np.load(os.path.join(folder, OUTPUTS)), 0.0
    for name in [name for name in held.files if name.startswith("images")]:
        with torch.no_grad():
            found = net.eval()(torch.from_numpy(held[name])).numpy()
        expected = held[name.replace("images", "outputs")]
        worst = max(worst, float(np.abs(found - expected).max() / np.abs(expected).max()))
    return worst


def _with_counters(net, weights):
    """The weights with the network's own BatchNorm counters, which files need not have."""
    own = net.state_dict()
    return {**{name: own[name] for name in own if "num_batches_tracked" in name}, **weights}


def facts(path):
    """Fill in a JSON file: for each key "library architecture" the facts of its state dict.

    The digest is that of the sorted lines "name shape"; batch counters and classifiers used only in
    training are left out.
    """
    import torch

    with open(path) as file:
        found = json.load(file)
    for name in found:
        with torch.device("meta"):
            held = _make(*name.split()).state_dict()
        shapes = {key: list(array.shape) for key, array in held.items() if not TRAINING(key)}
        lines = sorted(f"{key} {shape}" for key, shape in shapes.items())
        found[name] = dict(
            arrays=len(shapes),
            numbers=sum(held[key].numel() for key in shapes),
            sha256=hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        )
    with open(path, "w") as file:
        file.write(json.dumps(found, indent=1) + "\n")


def _make(library, architecture):
    """The network with that name, without published weights."""
    if library == "timm":
        import timm

        return timm.create_model(architecture, pretrained=False)
    import torchvision

    more = {}
    if architecture in ("inception_v3", "googlenet"):
        more = dict(aux_logits=False, transform_input=False, init_weights=False)
    return torchvision.models.get_model(architecture, weights=None, **more)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--write", metavar="FOLDER")
    chosen.add_argument("--compare", metavar="FOLDER")
    chosen.add_argument("--facts", metavar="FILE")
    parser.add_argument("network", nargs="*", help="networks of gluon_tricks; default: all")
    args = parser.parse_args()
    if args.write:
        return write(args.write, args.network)
    return compare(args.compare) if args.compare else facts(args.facts)


if __name__ == "__main__":
    sys.exit(main())
