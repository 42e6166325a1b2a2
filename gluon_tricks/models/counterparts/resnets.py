"""The names of layers of ResNets and related networks in timm and torchvision."""

from .rules import pairs, rules

# conv1 ... layer4, fc are torchvision's names, which GluonCV's v1b adopted. Only the attention's
# are ours.
resnet = rules(
    (r"(.*)\.se\.squeeze", r"\1.se.fc1"), (r"(.*)\.se\.excite", r"\1.se.fc2"), (r"(.*)", r"\1")
)

# the first BatchNorm of a split attention
resnest = rules((r"(.*\.conv2)\.bn", r"\1.bn0"), (r"(.*)", r"\1"))

_BODY = pairs("0 conv1, 1 bn1, 3 conv2, 4 bn2, 6 conv3, 7 bn3")
_SE = pairs("0 fc1, 2 fc2")


def _numbered(stem, first, se="se", head="fc"):
    """Rules for ResNets whose layers are numbers: first those of the ``stem``, then the stages from
    ``first``.

    ``se`` and ``head`` are the names of attention and last layer there.
    """

    def block(stage, rest):
        return f"layer{int(stage) - first + 1}.{rest}"

    at = r"features\.(\d+)\.(\d+)"
    return rules(
        *stem,
        (at + r"\.body\.(\d)", lambda s, b, k: block(s, f"{b}.{_BODY[k]}")),
        (at + r"\.se\.(\d)", lambda s, b, k: block(s, f"{b}.{se}.{_SE[k]}")),
        (at + r"\.(downsample\.\d)", lambda s, b, k: block(s, f"{b}.{k}")),
        ("output", head),
    )


numbered = _numbered([(r"features\.0", "conv1"), (r"features\.1", "bn1")], first=4)

senet = _numbered(
    [(r"features\.([013467])", lambda k: f"layer0.{_BODY[k]}")],
    first=10,
    se="se_module",
    head="last_linear",
)


def _fused(at, i, j, step):
    """A path from resolution ``j`` to ``i``; a downsampling one is split into steps there."""
    inner = f"{int(step) // 3}.{int(step) % 3}" if int(i) > int(j) else step
    return f"{at}.{i}.{j}.{inner}"


_HEADS = pairs("incre_blocks incre_modules, downsamp_blocks downsamp_modules")

hrnet = rules(
    (r"(stage\d\.\d\.fuse_layers)\.(\d)\.(\d)\.(\d)", _fused),
    (r"(incre_blocks)(.*)\.body\.(\d)", lambda n, b, k: f"{_HEADS[n]}{b}.{_BODY[k]}"),
    (r"(.*)\.body\.(\d)", lambda b, k: f"{b}.{_BODY[k]}"),
    (r"(incre_blocks|downsamp_blocks)(.*)", lambda n, rest: _HEADS[n] + rest),
    (r"(.*)", r"\1"),
)
