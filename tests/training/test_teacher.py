"""Teachers: only one that is whole, knows the student's classes, and sees images as it was trained
to.
"""

import dataclasses
import shutil

import mxnet as mx
import numpy as np
import pytest
from gluoncv.model_zoo import model_store

from gluon_tricks import config as flags
from gluon_tricks import models
from gluon_tricks.config import ConfigError
from gluon_tricks.errors import UserError
from gluon_tricks.training import network, run_folder

SMALL = "cifar_resnet20_v1"


def saved(path, model=SMALL, classes=3, size=32, **options):
    """A network with random values, saved in ``path``."""
    mx.random.seed(3)
    net = models.get_model(model, classes=classes, **options)
    net.initialize(mx.init.Xavier())
    net(mx.nd.zeros((1, 3, size, size)))
    net.save_parameters(str(path))
    return net


def run_with(folder, **given):
    """A run's folder with a parameter file in it, as a user may keep it."""
    config = flags.Config(**dict(dict(model=SMALL, classes=3, input_size=32, synthetic=8), **given))
    about = dict(
        version="0",
        layout=dict(began_with=8),
        data=dict(train=None, validation=None),
        parameters={},
    )
    run_folder.write(str(folder), about, config)
    options = models.options_of(config)
    return saved(folder / "net.params", config.model, config.classes, config.input_size, **options)


def teacher_logits(images, say=print, **given):
    """The logits of the teacher that the flags name, for images of the student."""
    config = flags.Config(
        **dict(
            dict(model=SMALL, classes=3, input_size=32, synthetic=8, teacher_model=SMALL), **given
        )
    )
    return network.teacher(config, [mx.cpu(0), mx.cpu(1)], say)(
        mx.nd.array(images, ctx=mx.cpu(1))
    ).asnumpy()


def test_the_images_are_normalised_as_the_teacher_knows_them(tmp_path):
    net, said = run_with(tmp_path, rgb_mean=(0.0, 1.0, 2.0), rgb_std=(1.0, 2.0, 100.0)), []
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 3, 32, 32))

    def normalised(mean, std):
        return ((pixels - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))).astype(
            "float32"
        )

    student = flags.Config()
    found = teacher_logits(
        normalised(student.rgb_mean, student.rgb_std),
        said.append,
        teacher=str(tmp_path / "net.params"),
    )
    expected = net(mx.nd.array(normalised((0, 1, 2), (1, 2, 100)))).asnumpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    assert len(said) == 1 and "--rgb-mean" in said[0]


def test_nothing_is_done_to_images_that_are_normalised_as_the_teachers(tmp_path):
    net, said = run_with(tmp_path), []
    images = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype("float32")
    found = teacher_logits(images, said.append, teacher=str(tmp_path / "net.params"))
    net.hybridize(static_alloc=True, static_shape=True)
    np.testing.assert_array_equal(found, net(mx.nd.array(images)).asnumpy())
    assert said == []


def test_images_of_another_size_than_the_teachers_are_said(tmp_path):
    run_with(tmp_path, input_size=40)
    said = []
    teacher_logits(np.zeros((1, 3, 32, 32)), said.append, teacher=str(tmp_path / "net.params"))
    assert said == ["the teacher was trained at 40 pixels and sees the student's images of 32"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "model, option", [("resnet18_v1b", "use_gn"), ("resnext50_32x4d", "use_se")]
)
def test_a_teacher_has_its_runs_options(tmp_path, model, option):
    net = run_with(tmp_path, model=model, **{option: True})
    images = np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype("float32")
    found = teacher_logits(images, teacher=str(tmp_path / "net.params"), teacher_model=model)
    np.testing.assert_allclose(found, net(mx.nd.array(images)).asnumpy(), rtol=1e-3, atol=1e-4)


def test_a_published_teacher_of_other_classes_is_refused(tmp_path, monkeypatch):
    published = str(tmp_path / "published.params")
    monkeypatch.setattr(model_store, "get_model_file", lambda *given, **named: published)
    for classes in (1000, 3):
        saved(published, "resnet18_v1b", classes)
        config = flags.Config(classes=3, input_size=32, teacher="resnet18_v1b")
        if classes == 3:
            assert network.teacher(config, [mx.cpu()]) is not None
        else:
            with pytest.raises(
                UserError,
                match="--teacher resnet18_v1b: its published parameters are for another number",
            ):
                network.teacher(config, [mx.cpu()])


def test_a_teacher_of_other_classes_or_none_at_all_is_refused(tmp_path):
    run_with(tmp_path, classes=5)
    for teacher, message in [
        (str(tmp_path / "net.params"), "it knows 5 classes, the student 3"),
        (str(tmp_path), "has no whole checkpoint yet"),
        ("/", "is neither the folder of a run"),
        ("resnet18_v1x", "no such folder or file"),
    ]:
        with pytest.raises(UserError, match=message):
            teacher_logits(np.zeros((1, 3, 32, 32)), teacher=teacher)


@pytest.mark.slow
def test_parameters_of_a_damaged_checkpoint_are_used_for_nothing(train, tmp_path):
    train(save_dir=str(tmp_path / "teacher"), max_steps=1)
    (folder,) = (tmp_path / "teacher" / "checkpoints").iterdir()
    data = bytearray((folder / "net.params").read_bytes())
    data[-5000] ^= 0x80  # the sign of a weight
    (folder / "net.params").write_bytes(data)
    file = str(folder / "net.params")
    for given in (
        dict(teacher=str(tmp_path / "teacher")),
        dict(teacher=str(folder)),
        dict(teacher=file, teacher_model=SMALL),
        dict(use_params=file),
        dict(resume_params=file, resume_epoch=1),
    ):
        with pytest.raises(UserError, match="no whole checkpoint|is damaged: net.params"):
            train(save_dir=str(tmp_path / "student"), **given)
        shutil.rmtree(tmp_path / "student")


@pytest.mark.slow
def test_a_run_starts_from_the_folder_of_another_as_from_its_file(train, tmp_path):
    config = train(save_dir=str(tmp_path / "first"), max_steps=1).config
    (folder,) = (tmp_path / "first" / "checkpoints").iterdir()
    written = mx.nd.load(str(folder / "net.params"))
    for path in (tmp_path / "first", folder, folder / "net.params"):
        start = dataclasses.replace(config, use_params=str(path), classes=config.classes + 1)
        said = []
        net = network.student(start, [mx.cpu()], said.append)
        (new,) = [text for text in said if "newly initialised" in text]
        found = {name: array.data() for name, array in net._collect_params_with_prefix().items()}
        assert {name for name in found if name in new} == {"output.weight", "output.bias"}
        for name in set(written) - {"output.weight", "output.bias"}:
            assert np.array_equal(written[name].asnumpy(), found[name].asnumpy()), name


@pytest.mark.slow
def test_a_run_goes_on_with_its_teacher_wherever_that_lies_and_with_no_other(
    train, tmp_path, monkeypatch
):
    flags = dict(max_steps=1, teacher_model=SMALL, resume="auto")
    for name in "abc":
        (tmp_path / name).mkdir()
    saved(tmp_path / "a" / "net.params", classes=10)
    shutil.copy(tmp_path / "a" / "net.params", tmp_path / "b" / "net.params")
    arrays = mx.nd.load(str(tmp_path / "a" / "net.params"))
    mx.nd.save(
        str(tmp_path / "c" / "net.params"),
        dict(arrays, **{"output.bias": arrays["output.bias"] + 1}),
    )
    train(teacher=str(tmp_path / "a" / "net.params"), **flags)
    monkeypatch.chdir(tmp_path)
    assert train(teacher="b/net.params", **flags).progress.step == 2
    with pytest.raises(ConfigError, match="--teacher: its parameters have changed"):
        train(teacher="c/net.params", **flags)
