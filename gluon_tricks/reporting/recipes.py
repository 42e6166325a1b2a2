"""The table of recipes: ``python -m gluon_tricks.reporting.recipes > recipes/README.md``."""

from .. import literature, paper, transfer
from .tables import markdown

TEXT = """# Recipes

A script for every row of the paper's Tables 2 to 6, for the teachers of its distilled rows, for the
rows of its successors, for what a ResNet-50 is compared with today, and for what became of the
networks on other data. This file is written by `python -m gluon_tricks.reporting.recipes`.

    DATA=/data/imagenet recipes/table6_resnet50_v1d_mixup.sh

trains the row into `runs/table6_resnet50_v1d_mixup`. Flags behind the name win over the recipe's
(`--num-epochs 30`; `gluon-tricks train --help` lists them). A recipe that was stopped or killed
goes on when it is typed again. [docs/reproduce.md](../docs/reproduce.md) leads from an empty host
to a row of the table.

| variable | what it says |
| --- | --- |
| `DATA` | folder with train.rec, train.idx, val.rec, val.idx (`data/imagenet`, if not said) |
| `RUNS` | folder of the runs, where teachers are looked for too (`runs`) |
| `GPUS` | GPUs of a machine (8, if not said); with 0 it computes on the CPU |
| `ACCUMULATE` | micro-batches a step, if a GPU's memory is too small for its share of it (1) |
| `THREADS` | threads that decode images, a process (the machine's cores) |
| `LAUNCHER=horovod NP=32 HOSTS=a:8,b:8,c:8,d:8` | 32 Horovod workers, one a GPU |
| `LAUNCHER=worker NP=32` | one of 32 Horovod workers that mpirun or srun starts |
| `RESTARTS=3` | with Horovod: start again so often, on the hosts that still answer |
| `LAUNCHER=plan` | say what would be trained, without training: steps, learning rate, tricks |
| `LAUNCHER=print` | print the command, and do nothing |

The images in a step stay the row's for any number of GPUs and workers: a GPU's share is the
quotient. BatchNorm sees a share at a time, so only 8 shares (`GPUS` or `NP`, times `ACCUMULATE`)
are the paper's: one GPU is `GPUS=1 ACCUMULATE=8`.

On GPUs the recipes make a run of one seed the same to the bit, as `--deterministic` does (but not
one of FCN, Faster-RCNN or Assemble-ResNet, for which MXNet has no such kernels), and rows of
float32 set `NVIDIA_TF32_OVERRIDE=0`: else an A100 or a newer GPU multiplies in TF32, which is
faster and no longer the paper's FP32. [docs/reproduce.md](../docs/reproduce.md) has these
settings; those of yours win.

**Nobody has trained these rows with this package yet: the figures are those that others have
published, not ours.**

## The paper

{table}
Hours are the epochs times the minutes an epoch of the paper's Table 3; *a*: times those that follow
from the images a second in the authors' published log of that network, on 8 GPUs. A dash: nobody
published a time. Distillation runs the teacher's forward pass too. A row that is the same run as
one above it has a script that calls that one's.

The paper's teacher is ResNet-152-D, trained with cosine decay and label smoothing, and with mixup
if the student has mixup; its batch, rate and precision are not known here. The teachers' recipes
take those of the authors' log of that network: 8 x 32 images, learning rate 0.1, float32 (with
mixup: top-1 {top1:.2f} %, top-5 {top5:.2f} %). Inception-V3's teacher is trained on 299 x 299
pixels, the size of the images that it shares with the student. These are our choices.

## Its successors

[docs/successors.md](../docs/successors.md) says what each ingredient is. `LAUNCHER=plan` says of
each row what is known to be otherwise in its source. mCE is the mean corruption error on
ImageNet-C, which `gluon-tricks evaluate --imagenet-c` measures.

{successors}
A row that names stored logits needs a file of them next to the data, made of that teacher by
`gluon-tricks logits TEACHER DATA/train.rec -o DATA/NAME.logits`
([docs/reproduce.md](../docs/reproduce.md)).

## Today's baselines

{baselines}
## Other data

[docs/transfer.md](../docs/transfer.md) says what these trainings are, and which of the figures are
confirmed. "First" is the recipe whose run a row starts from.

{transfer}
## For a small machine

`ablation_digits.sh` is Table 6 in miniature on handwritten digits, for a machine without a GPU;
[docs/ablation.md](../docs/ablation.md) has what came out. `ablation_fashion.sh` takes later
ingredients one by one on Fashion-MNIST
([docs/ablation_successors.md](../docs/ablation_successors.md)). `demo_digits.sh` is what `make
demo` runs. `demo_segmentation.sh` is section 6.2 in miniature
([docs/transfer.md](../docs/transfer.md)), and `demo_detection.sh` section 6.1
([docs/detection.md](../docs/detection.md)). `launch.sh` is what the recipes share.
"""


def readme():
    """The text of recipes/README.md."""
    score = paper.AUTHORS_LOGS["resnet152_v1d", True].score
    return TEXT.format(
        table=_paper_table(),
        successors=_published_table(literature.SUCCESSORS),
        baselines=_published_table(literature.BASELINES),
        transfer=_transfer_table(),
        top1=score.top1,
        top5=score.top5,
    )


def _paper_table():
    header = ["recipe", "table, row", "published top-1 / top-5 %", "hours on 8 V100", "first"]
    rows = [
        [_link(row.recipe), row.title, _score(row.score), _hours(row), _link(row.needs)]
        for row in paper.ROWS
    ]
    return markdown(header, rows)


def _published_table(group):
    header = ["recipe", "row", "published top-1 / top-5 %", "mCE", "images a step", "epochs"]
    rows = [
        [
            _link(row.recipe),
            row.title,
            " / ".join(row.figures),
            f"{row.mce:.2f}" if row.mce else "–",
            f"{row.settings['global_batch']:,}",
            row.settings["num_epochs"],
            f"{row.teacher}.logits" if row.teacher else "",
        ]
        for row in literature.ROWS
        if literature.WORKS[row.work].group == group
    ]
    return markdown([*header, "stored logits"], rows)


def _transfer_table():
    header = ["recipe", "row", "published %", "images a step", "epochs", "first"]
    rows = [
        [
            _link(row.recipe),
            row.title,
            ", ".join(f"{name} {value:g}" for name, value in row.scores.items()),
            f"{row.settings['global_batch']:,}",
            row.settings["num_epochs"],
            _link(row.backbone),
        ]
        for row in transfer.ROWS
    ]
    return markdown(header, rows)


def _link(recipe):
    return f"[{recipe}]({recipe}.sh)" if recipe else ""


def _score(score):
    if score is None:
        return "–"
    return " / ".join(f"{value:.2f}" for value in score if value is not None)


def _hours(row):
    if row.speed is None:
        return "–"
    return f"{row.hours:.1f}" + ("" if row.speed.source == "Table 3" else " *a*")


if __name__ == "__main__":
    print(readme(), end="")
