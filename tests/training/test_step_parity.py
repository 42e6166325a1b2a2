"""Twenty steps of our loop against independent loops, on the same images from the same parameters.

One is written from the paper's formulas in numpy, with GluonCV's block and MXNet's own NAG; the
other from what GluonCV offers: its LRScheduler, its DistillationSoftmaxCrossEntropyLoss, its
smoothing and mixup.
"""

import json
import math

import cv2
import gluoncv
import mxnet as mx
import numpy as np
import pytest
from gluoncv.loss import DistillationSoftmaxCrossEntropyLoss
from gluoncv.model_zoo.resnetv1b import BasicBlockV1b, ResNetV1b
from gluoncv.utils import LRScheduler, LRSequential
from mxnet import autograd, gluon

import gluon_tricks.config as flags
from gluon_tricks.data.records import RecordWriter
from gluon_tricks.training.run import build, finish
from gluon_tricks.tricks.mixup import draw_lambda, draw_partners

EPOCHS, STEPS_PER_EPOCH, CLASSES, TEMPERATURE = 4, 5, 10, 20
STEPS = EPOCHS * STEPS_PER_EPOCH
TINY, OURS = "cifar_resnet20_v1", "resnet18_v1d"
SIZE = {TINY: 16, OURS: 32}  # of the images
BATCH = 8  # images a part
DEVICES = [mx.cpu(0), mx.cpu(1)]

TOLERANCE = 1e-5


def gluoncvs(model):
    """GluonCV's network; of ResNet-18-D it has the blocks, but not the name."""
    if model == OURS:
        return ResNetV1b(
            BasicBlockV1b, [2, 2, 2, 2], classes=CLASSES, deep_stem=True, avg_down=True
        )
    return gluoncv.model_zoo.get_model(model, classes=CLASSES)


class Case:
    """A run of ours, finished: its parameters before and after, its images, its losses, its
    teacher's parameters.
    """

    def __init__(self, folder, model, words, parts=1, data=""):
        self.folder, self.model, self.parts, self.global_batch = folder, model, parts, BATCH * parts
        self.config = flags.parse(
            "--model {} --classes {} --input-size {} --batch-size {} --num-epochs {}"
            " --log-interval 1 --seed 3 --val-frequency {} --save-frequency 0 --save-dir {}/run"
            " {} {}".format(
                model,
                CLASSES,
                SIZE[model],
                BATCH,
                EPOCHS,
                EPOCHS,
                folder,
                words,
                data or f"--synthetic {STEPS_PER_EPOCH * self.global_batch}",
            ).split()
        )
        run = build(self.config)
        try:
            self.start = str(folder / "start.params")
            run.learner.net.save_parameters(self.start)
            self.batches, self.keys = [], []
            for batch in run.data.train.batches(0, STEPS):
                self.batches.append((batch.images.copy(), batch.labels.copy()))
                self.keys.append(batch.keys.copy())
            finish(run)
            self.parameters = parameters_of(run.learner.net)
        finally:
            run.close()
        with open(folder / "run" / "log.jsonl") as file:
            self.losses = [
                line["loss"] for line in map(json.loads, file) if line["event"] == "train"
            ]
        assert len(self.losses) == STEPS

    def check(self, net, losses):
        np.testing.assert_allclose(self.losses, losses, atol=TOLERANCE, rtol=TOLERANCE)
        theirs = parameters_of(net)
        assert set(theirs) == set(self.parameters)
        for name, value in theirs.items():
            np.testing.assert_allclose(
                self.parameters[name], value, atol=TOLERANCE, rtol=TOLERANCE, err_msg=name
            )

    def block(self, file, devices=DEVICES[:1]):
        """GluonCV's own block with the parameters of a file."""
        net = gluoncvs(self.model)
        net.load_parameters(file, ctx=devices)
        net.hybridize(static_alloc=True, static_shape=True)
        return net


def parameters_of(net):
    """Name -> array of the trained parameters. Statistics differ by how a loop averages them over
    devices.
    """
    return {
        name: parameter.list_data()[0].asnumpy()
        for name, parameter in net._collect_params_with_prefix().items()
        if parameter.grad_req != "null"
    }


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    """Model -> parameter file of a teacher that has learned nothing."""
    folder, files = tmp_path_factory.mktemp("teachers"), {}
    for number, model in enumerate((TINY, OURS)):
        net = gluoncvs(model)
        mx.random.seed(77 + number)
        net.initialize(mx.init.Xavier(magnitude=4))
        net(mx.nd.zeros((1, 3, 32, 32)))
        files[model] = str(folder / (model + ".params"))
        net.save_parameters(files[model])
    return files


# -- the paper


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def papers_rate(tricks, step):
    """The learning rate of a step from 0, by sections 2.1, 3.1 and 5.1."""
    eta = tricks["scaling"] * tricks["batch"] / 256 if tricks.get("scaling") else 0.1
    m = tricks.get("warmup", 0) * STEPS_PER_EPOCH
    if step < m:
        return (step + 1) * eta / m
    if tricks.get("cosine"):
        return 0.5 * (1 + math.cos((step - m) * math.pi / (STEPS - m))) * eta
    return eta * 0.1 ** sum(
        step >= epoch * STEPS_PER_EPOCH for epoch in tricks.get("decay", (30, 60, 90))
    )


def papers_loop(case, tricks, teacher=None):
    """(net, mean loss of each step) with every target, mix and loss written out."""
    devices = DEVICES[: tricks.get("devices", 1)]
    net = case.block(case.start, devices)
    instructor = case.block(teacher) if teacher else None
    for name, parameter in net.collect_params().items():
        if tricks.get("no_wd") and not name.endswith("weight"):
            parameter.wd_mult = 0.0
    micros = case.parts // len(devices)
    if micros > 1:
        for parameter in net.collect_params(".*weight|.*bias|.*gamma|.*beta").values():
            parameter.grad_req = "add"
    trainer = gluon.Trainer(
        net.collect_params(), "nag", dict(learning_rate=0.0, momentum=0.9, wd=1e-4)
    )
    cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss(sparse_label=False)
    epsilon, losses = tricks.get("smoothing", 0), []
    for step, (images, labels) in enumerate(case.batches):
        images, labels = images.asnumpy(), labels.asnumpy().astype(int)
        total = 0.0
        for micro in range(micros):
            heads = []
            for number, device in enumerate(devices):
                part = micro * len(devices) + number
                x, y = (array[part * BATCH : (part + 1) * BATCH] for array in (images, labels))
                q = np.full((BATCH, CLASSES), epsilon / (CLASSES - 1))
                q[np.arange(BATCH), y] = 1 - epsilon
                if tricks.get("mixup"):
                    lam, pairs = draw_lambda(0.2, 3, step), draw_partners(BATCH, 3, step, part)
                    x, q = lam * x + (1 - lam) * x[pairs], lam * q + (1 - lam) * q[pairs]
                x, q = mx.nd.array(x, ctx=device), mx.nd.array(q, ctx=device)
                if instructor:
                    soft = mx.nd.array(
                        softmax(instructor(x.as_in_context(DEVICES[0])).asnumpy() / TEMPERATURE),
                        ctx=device,
                    )
                with autograd.record():
                    z = net(x)
                    loss = cross_entropy(z, q)
                    if instructor:
                        loss = loss + TEMPERATURE**2 * cross_entropy(z / TEMPERATURE, soft)
                heads.append(loss)
            autograd.backward(heads)
            total += sum(loss.sum().asscalar() for loss in heads)
        trainer.set_learning_rate(papers_rate(dict(tricks, batch=case.global_batch), step))
        trainer.step(case.global_batch)
        if micros > 1:
            net.collect_params().zero_grad()
        losses.append(total / case.global_batch)
    return net, losses


ALL = (
    "--linear-scaling --base-lr 0.0001 --warmup-epochs 1 --lr-mode cosine --last-gamma --no-wd"
    " --label-smoothing --mixup --teacher {teacher}"
    " --teacher-model {model}",
    dict(scaling=0.0001, warmup=1, cosine=True, no_wd=True, smoothing=0.1, mixup=True),
)
PAPER = {
    "baseline": (TINY, "", {}),
    "step decay": (TINY, "--lr-decay-epoch 1,3", dict(decay=(1, 3))),
    "linear scaling": (TINY, "--linear-scaling", dict(scaling=0.1)),
    "warmup": (TINY, "--warmup-epochs 2", dict(warmup=2)),
    "cosine": (TINY, "--lr-mode cosine", dict(cosine=True)),
    "zero gamma": (OURS, "--last-gamma --linear-scaling", dict(scaling=0.1)),
    "no bias decay": (TINY, "--no-wd", dict(no_wd=True)),
    "label smoothing": (TINY, "--label-smoothing", dict(smoothing=0.1)),
    "mixup": (TINY, "--mixup", dict(mixup=True)),
    # T^2 makes large gradients and float32 noise of them, so the rates with T = 20 are small.
    "distillation": (
        TINY,
        "--linear-scaling --base-lr 0.0001 --teacher {teacher} --teacher-model {model}",
        dict(scaling=0.0001),
    ),
    "two devices": (TINY, "--mixup --cpu-contexts 2", dict(mixup=True, devices=2)),
    "accumulated": (TINY, "--mixup --accumulate 2", dict(mixup=True)),
    "accumulated on two devices": (
        TINY,
        "--mixup --accumulate 2 --cpu-contexts 2",
        dict(mixup=True, devices=2),
    ),
    "all but distillation": (
        OURS,
        "--linear-scaling --base-lr 0.002 --warmup-epochs 1 --lr-mode cosine --last-gamma --no-wd"
        " --mixup --label-smoothing",
        dict(scaling=0.002, warmup=1, cosine=True, no_wd=True, smoothing=0.1, mixup=True),
    ),
    "all": (OURS,) + ALL,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PAPER)
def test_each_trick_and_all_together_are_the_papers_formulas(name, teachers, tmp_path):
    model, words, tricks = PAPER[name]
    parts = (2 if "--accumulate" in words else 1) * tricks.get("devices", 1)
    case = Case(tmp_path, model, words.format(teacher=teachers[model], model=model), parts)
    case.check(*papers_loop(case, tricks, teachers[model] if "--teacher" in words else None))


# -- GluonCV


def gluoncvs_loop(case, tricks, scheduler, teacher=None):
    """(net, mean loss of each step), with the building blocks that GluonCV gives its users;
    ``scheduler`` sets the rate.
    """
    devices, eta = DEVICES[: tricks.get("devices", 1)], 0.1 if tricks.get("smoothing") else 0.0
    net = case.block(case.start, devices)
    if tricks.get("no_wd"):
        for parameter in net.collect_params(".*beta|.*gamma|.*bias").values():
            parameter.wd_mult = 0.0
    trainer = gluon.Trainer(
        net.collect_params(), "nag", dict(wd=1e-4, momentum=0.9, lr_scheduler=scheduler)
    )
    sparse = not (tricks.get("smoothing") or tricks.get("mixup"))
    if teacher:
        instructor = case.block(teacher, devices)
        criterion = DistillationSoftmaxCrossEntropyLoss(
            temperature=TEMPERATURE, hard_weight=0.5, sparse_label=sparse
        )
    else:
        criterion = gluon.loss.SoftmaxCrossEntropyLoss(sparse_label=sparse)
    on, off = 1 - eta + eta / CLASSES, eta / CLASSES
    losses = []
    for step, (images, labels) in enumerate(case.batches):
        data, targets = (
            gluon.utils.split_and_load(images, devices),
            gluon.utils.split_and_load(labels, devices),
        )
        lam = draw_lambda(0.2, 3, step) if tricks.get("mixup") else 1.0
        if tricks.get("mixup"):
            data = [lam * x + (1 - lam) * x[::-1] for x in data]
        if not sparse:
            targets = [
                lam * y.one_hot(CLASSES, on_value=on, off_value=off)
                + (1 - lam) * y[::-1].one_hot(CLASSES, on_value=on, off_value=off)
                for y in targets
            ]
        soft = [mx.nd.softmax(instructor(x) / TEMPERATURE) for x in data] if teacher else None
        with autograd.record():
            outputs = [net(x) for x in data]
            if teacher:
                heads = [criterion(z, y, p) for z, y, p in zip(outputs, targets, soft)]
            else:
                heads = [criterion(z, y) for z, y in zip(outputs, targets)]
        for loss in heads:
            loss.backward()
        if isinstance(scheduler, ByEpoch):
            scheduler.step = step
        trainer.step(case.global_batch)
        losses.append(sum(loss.sum().asscalar() for loss in heads) / case.global_batch)
    return net, losses


class ByEpoch(mx.lr_scheduler.LRScheduler):
    """The schedule of the authors' script of 2018, which is told the epoch and the batch, not the
    update.
    """

    def __init__(self, eta, warmup):
        super().__init__(base_lr=eta)
        self.step, self.eta, self.m = 0, eta, warmup * STEPS_PER_EPOCH

    def __call__(self, num_update):
        if self.step < self.m:
            return self.eta * self.step / self.m
        return self.eta * (1 + math.cos(math.pi * (self.step - self.m) / (STEPS - self.m))) / 2


def sequential(eta, warmup):
    """The schedule of the authors' script from 2019 on, of GluonCV's own classes."""
    return LRSequential(
        [
            LRScheduler(
                "linear", base_lr=0, target_lr=eta, nepochs=warmup, iters_per_epoch=STEPS_PER_EPOCH
            ),
            LRScheduler(
                "cosine",
                base_lr=eta,
                target_lr=0,
                nepochs=EPOCHS - warmup,
                iters_per_epoch=STEPS_PER_EPOCH,
            ),
        ]
    )


GLUONCV = {
    "baseline": (TINY, "", {}),
    "warmup": (TINY, "--warmup-epochs 2", dict(warmup=2)),
    "no bias decay": (TINY, "--no-wd", dict(no_wd=True)),
    "label smoothing": (TINY, "--label-smoothing", dict(smoothing=True)),
    "mixup": (TINY, "--mixup", dict(mixup=True)),
    "distillation": (TINY, "--teacher {teacher} --teacher-model {model}", {}),
    "two devices": (
        TINY,
        "--mixup --label-smoothing --cpu-contexts 2",
        dict(mixup=True, smoothing=True, devices=2),
    ),
    "all": (
        OURS,
        "--warmup-epochs 1 --last-gamma --no-wd --label-smoothing --mixup --teacher {teacher}"
        " --teacher-model {model}",
        dict(warmup=1, no_wd=True, smoothing=True, mixup=True),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, counting",
    [(name, "steps") for name in GLUONCV] + [("warmup", "updates"), ("all", "updates")],
)
def test_fidelity_gluoncv_is_what_gluoncvs_own_building_blocks_do(
    name, counting, teachers, tmp_path
):
    model, words, tricks = GLUONCV[name]
    eta, warmup = 0.01 if "--teacher" in words else 0.05, tricks.get("warmup", 0)
    fixed = (
        "--fidelity gluoncv --val-last-batch exact --lr-mode cosine "
        f"--lr {eta} --lr-counting {counting} "
    )
    case = Case(
        tmp_path,
        model,
        fixed + words.format(teacher=teachers[model], model=model),
        tricks.get("devices", 1),
    )
    scheduler = sequential(eta, warmup) if counting == "updates" else ByEpoch(eta, warmup)
    case.check(
        *gluoncvs_loop(case, tricks, scheduler, teachers[model] if "--teacher" in words else None)
    )


# -- both on one RecordIO file


@pytest.mark.slow
def test_on_one_record_file_ours_and_mxnets_reader_and_the_authors_loop_give_the_same_losses(
    tmp_path,
):
    size, images = SIZE[TINY], 2 * BATCH * STEPS_PER_EPOCH + 3
    rng, path = np.random.RandomState(5), str(tmp_path / "train.rec")
    with RecordWriter(path) as records:
        for key in range(images):
            done, payload = cv2.imencode(
                ".png", rng.randint(0, 256, (size, size, 3), dtype=np.uint8)
            )
            assert done
            records.write(key, float(rng.randint(CLASSES)), payload.tobytes())
    case = Case(
        tmp_path,
        TINY,
        "--fidelity gluoncv --lr 0.05 --lr-mode cosine --lr-counting updates --warmup-epochs 1"
        f" --num-training-samples {images - 3} --cpu-contexts 2"
        " --no-wd --label-smoothing --mixup --crop-area 1,1 --crop-aspect 1,1 --flip 0"
        " --color-jitter 0 --pca-noise 0",
        parts=2,
        data="--rec-train " + path,
    )

    # The images as the authors' script reads them.
    reader = mx.io.ImageRecordIter(
        path_imgrec=path,
        path_imgidx=str(tmp_path / "train.idx"),
        preprocess_threads=1,
        shuffle=False,
        batch_size=1,
        data_shape=(3, size, size),
        mean_r=123.68,
        mean_g=116.779,
        mean_b=103.939,
        std_r=58.393,
        std_g=57.12,
        std_b=57.375,
    )
    pictures, labels = zip(
        *[(batch.data[0].asnumpy()[0], batch.label[0].asnumpy()[0]) for batch in reader]
    )
    assert len(pictures) == images
    for keys, (ours, known) in zip(case.keys, case.batches):
        np.testing.assert_allclose(
            ours.asnumpy(), np.stack([pictures[key] for key in keys]), atol=2e-6
        )
        assert known.asnumpy().tolist() == [labels[key] for key in keys]

    # Their last bits differ, and twenty steps of a small network make much of that: so the loop
    # gets ours.
    tricks = dict(warmup=1, no_wd=True, smoothing=True, mixup=True, devices=2)
    case.check(*gluoncvs_loop(case, tricks, sequential(0.05, 1)))
