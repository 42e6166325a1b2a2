#!/usr/bin/env python
"""Compares networks that `gluon-tricks convert` wrote with timm's or torchvision's of that name.

In two steps, since MXNet and PyTorch need different versions of NumPy. In an environment with
gluon_tricks, `--write MODEL FOLDER` makes a network with random weights, FOLDER/net.safetensors and
FOLDER/outputs.npz (its images and outputs). In one with PyTorch, timm and torchvision,
`--compare FOLDER` loads the file, strictly, and prints the largest difference of the outputs.
"""

import argparse
import os
import sys

import numpy as np

WEIGHTS, OUTPUTS = "net.safetensors", "outputs.npz"
SIZES = (224, 193)  # an odd one too
TOLERANCE = 1e-4  # of the largest output, in float32


def write(model, folder, library):
    """Random weights, and what the network makes of random images."""
    import mxnet as mx

    from gluon_tricks import models
    from gluon_tricks.models import foreign

    os.makedirs(folder, exist_ok=True)
    mx.random.seed(0)
    net = models.get_model(model)
    net.initialize(mx.init.MSRAPrelu())
    random = np.random.default_rng(0)
    held = {}
    for size in [models.input_size(model)] if model.startswith("vgg") else SIZES:
        held[f"images{size}"] = random.standard_normal((2, 3, size, size)).astype("float32")
    net(mx.nd.array(next(iter(held.values()))[:1]))
    for name, parameter in net.collect_params().items():
        if not name.endswith("weight"):
            low = 0.5 if name.endswith(("var", "gamma")) else -0.5
            parameter.set_data(mx.nd.random.uniform(low, 1, parameter.shape))
    for name, images in list(held.items()):
        held[name.replace("images", "outputs")] = net(mx.nd.array(images)).asnumpy()
    found = foreign.theirs(net, library)
    found.write(os.path.join(folder, WEIGHTS))
    np.savez(os.path.join(folder, OUTPUTS), **held)
    print(f"{folder}: {found.counterpart.library}'s {found.counterpart.architecture}")


def compare(folder):
    """The exit code: 1 if the outputs differ by more than float32's roundings."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file

    path = os.path.join(folder, WEIGHTS)
    with safe_open(path, "pt") as file:
        about = file.metadata()
    net = make(about["library"], about["architecture"])
    net.load_state_dict(load_file(path), strict=True)
    held, worst = np.load(os.path.join(folder, OUTPUTS)), 0.0
    for name in [name for name in held.files if name.startswith("images")]:
        with torch.no_grad():
            found = net.eval()(torch.from_numpy(held[name])).numpy()
        expected = held[name.replace("images", "outputs")]
        worst = max(worst, float(np.abs(found - expected).max() / np.abs(expected).max()))
    print(f"{about['library']}'s {about['architecture']}: {worst:.1e} of the largest output")
    return int(not worst < TOLERANCE)


def make(library, architecture):
    """The network of that name, without published weights."""
    if library == "timm":
        import timm

        return timm.create_model(architecture, pretrained=False)
    import torchvision

    more = dict(aux_logits=False, transform_input=False) if "inception" in architecture else {}
    return torchvision.models.get_model(architecture, weights=None, **more)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--write", nargs=2, metavar=("MODEL", "FOLDER"))
    chosen.add_argument("--compare", metavar="FOLDER")
    parser.add_argument("--to", choices=("timm", "torchvision"))
    args = parser.parse_args()
    return compare(args.compare) if args.compare else write(*args.write, args.to)


if __name__ == "__main__":
    sys.exit(main())
