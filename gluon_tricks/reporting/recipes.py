"""The table of recipes: ``python -m gluon_tricks.reporting.recipes > recipes/README.md``."""

from .. import literature, paper, transfer
from .tables import markdown

TEXT = """# Recipes

A script for every row of the paper's Tables 2 to 6, for the teachers of its distilled rows, for the
rows of its successors, for today's baselines of a ResNet-50, and for the networks on other data.
`python -m gluon_tricks.reporting.recipes` writes this file.

    DATA=/data/imagenet recipes/table6_resnet50_v1d_mixup.sh

trains the row into `runs/table6_resnet50_v1d_mixup`. Flags after the name win over the recipe's
(`--num-epochs 30`; `gluon-tricks train --help` lists them). If a recipe was stopped or killed, the
same command resumes it. [docs/reproduce.md](../docs/reproduce.md) leads from an empty host to a row
of the table.

**Nobody has trained these rows with this package yet: the figures were published by others.**

| variable | meaning (default) |
| --- | --- |
| `DATA` | folder with train.rec, train.idx, val.rec, val.idx (`data/imagenet`, or `data/NAME`) |
| `RUNS` | folder of the runs, and of the teachers (`runs`) |
| `GPUS` | GPUs of a machine (8; a few rows: 4); 0: the CPU, on which rows need `--dtype float32` |
| `ACCUMULATE` | micro-batches a step, if a GPU's memory is too small for its share (1) |
| `THREADS` | decoding threads of a process (the machine's cores) |
| `LAUNCHER=horovod NP=32 HOSTS=a:8,b:8,c:8,d:8` | 32 Horovod workers, one for each GPU |
| `LAUNCHER=worker NP=32` | one of 32 Horovod workers that mpirun or srun starts |
| `RESTARTS=3` | with Horovod: start again up to 3 times, on the hosts that still answer |
| `LAUNCHER=plan` | print what would be trained: steps, learning rate, tricks |
| `LAUNCHER=print` | print the command, and do nothing |

Every number of GPUs and workers trains with the row's images a step: each GPU gets an equal share.
BatchNorm sees one share at a time, so only 8 shares (`GPUS` or `NP`, times `ACCUMULATE`) are the
paper's: on one GPU use `GPUS=1 ACCUMULATE=8`.

On GPUs the recipes give the same bits for the same seed, as `--deterministic` does (except with
FCN, Faster-RCNN and Assemble-ResNet, for which MXNet has no such kernels). Rows of float32 set
`NVIDIA_TF32_OVERRIDE=0`: otherwise an A100 or a newer GPU multiplies in TF32, which is faster and
no longer the paper's FP32. Your own settings win; [docs/reproduce.md](../docs/reproduce.md)
explains them.

## The paper

{table}
Hours are the epochs times the minutes an epoch of the paper's Table 3; *a*: times derived from the
images a second in the authors' published log of that network, on 8 GPUs. A dash: no time was
published. Distillation also runs the teacher's forward pass. If a row is the same run as one above
it, its script calls that row's.

The paper's teacher is ResNet-152-D, trained with cosine decay and label smoothing, and with mixup
if the student has mixup; its batch, rate and precision are not known here. The teachers' recipes
take those of the authors' log of that network: 8 x 32 images, learning rate 0.1, float32 (with
mixup: top-1 {top1:.2f} %, top-5 {top5:.2f} %). Inception-V3's teacher is trained on 299 x 299
pixels, the size of the images that it shares with the student. These are our choices.

## Its successors

[docs/successors.md](../docs/successors.md) describes each ingredient. `LAUNCHER=plan` prints each
row's known differences from its source. mCE is the mean corruption error on ImageNet-C, which
`gluon-tricks evaluate --imagenet-c` measures.

{successors}
A row that names stored logits needs a file of them next to the data, made from that teacher by
`gluon-tricks logits TEACHER DATA/train.rec -o DATA/NAME.logits`
([docs/reproduce.md](../docs/reproduce.md#stored-logits)).

## Today's baselines

{baselines}
## Other data

[docs/transfer.md](../docs/transfer.md) describes these trainings, and says which of the figures
are confirmed. "First" is the recipe whose run a row starts from.

{transfer}
## For a small machine

- `ablation_digits.sh` is Table 6 in miniature on handwritten digits, for a machine without a GPU
  ([docs/ablation.md](../docs/ablation.md) has the results).
- `ablation_fashion.sh` adds later ingredients one by one on Fashion-MNIST
  ([docs/ablation_successors.md](../docs/ablation_successors.md)).
- `demo_digits.sh` is the script of `make demo`.
- `demo_segmentation.sh` is section 6.2 in miniature ([docs/transfer.md](../docs/transfer.md)), and
  `demo_detection.sh` section 6.1 ([docs/detection.md](../docs/detection.md)).

`launch.sh` is shared by all recipes.
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
            ", ".join(row.figures),
            f"{row.settings['global_batch']:,}",
            f"{row.settings['num_epochs']:,}",
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
