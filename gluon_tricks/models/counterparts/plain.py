"""The names of layers in timm and torchvision: of DenseNets, and of plain sequential networks."""

from .rules import Rename, pairs, rules

alexnet = rules(
    (r"features\.0", "features.0"),
    (r"features\.2", "features.3"),
    (r"features\.4", "features.6"),
    (r"features\.5", "features.8"),
    (r"features\.6", "features.10"),
    (r"features\.9", "classifier.1"),
    (r"features\.11", "classifier.4"),
    ("output", "classifier.6"),
)


def vgg(depth: int, batch_norm: bool, dense: str) -> Rename:
    """The layers have our numbers, except for the last three, whose names are in ``dense``."""
    first = (3 if batch_norm else 2) * (depth - 3) + 5  # 5 poolings
    one, two, three = dense.split()
    return rules(
        (rf"features\.{first}", one),
        (rf"features\.{first + 2}", two),
        ("output", three),
        (r"(features\.\d+)", r"\1"),
    )


squeezenet = rules(
    (r"(features\.\d+)\.0\.0", r"\1.squeeze"),
    (r"(features\.\d+)\.1\.0\.0", r"\1.expand1x1"),
    (r"(features\.\d+)\.1\.1\.0", r"\1.expand3x3"),
    (r"output\.0", "classifier.1"),
    (r"(features\.0)", r"\1"),
)

_DENSE = pairs("0 norm1, 2 conv1, 3 norm2, 5 conv2")
_TRANSITION = pairs("0 norm, 2 conv")


def _dense_layer(stage, layer, part):
    return f"features.denseblock{int(stage) // 2 - 1}.denselayer{int(layer) + 1}.{_DENSE[part]}"


# 4, 6, 8, 10 are the dense blocks, 5, 7, 9 the transitions between them.
densenet = rules(
    (r"features\.0", "features.conv0"),
    (r"features\.1", "features.norm0"),
    (r"features\.11", "features.norm5"),
    (r"features\.(\d+)\.(\d+)\.1\.(\d)", _dense_layer),
    (
        r"features\.(\d)\.(\d)",
        lambda s, k: f"features.transition{int(s) // 2 - 1}.{_TRANSITION[k]}",
    ),
    ("output", "classifier"),
)
