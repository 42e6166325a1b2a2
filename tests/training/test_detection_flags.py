"""Every flag of training with ``--task detection``: it has an effect, or it is refused."""

import pytest

from gluon_tricks import config as flags
from gluon_tricks import models
from gluon_tricks.config import FLAGS
from gluon_tricks.errors import UserError

# By what they act on; all others are refused.
APPLY = """
    model task classes use_pretrained use_params attention anti_alias anchor_scales rpn_channels
    roi_size proposals backbone_params bn_eps mode
    data_dir use_rec rec_train rec_train_idx rec_val rec_val_idx num_training_samples
    num_data_workers data_processes repeated_augmentation max_bad_records
    input_size max_side max_boxes short_range flip device_augment rgb_mean rgb_std
    num_epochs batch_size accumulate rpn_sample roi_sample ema
    optimizer momentum momentum_form clip_norm clip_gradient wd no_wd init
    lr linear_scaling base_lr warmup_epochs warmup_from lr_counting lr_mode lr_decay lr_decay_epoch
    lr_decay_period batch_growth
    num_gpus deterministic cpu_contexts kvstore fidelity seed save_dir save_frequency save_interval
    keep_checkpoints val_frequency log_interval logging_file tensorboard max_steps resume
    resume_params
""".split()
# Values where half or twice the default is none.
VALUES = dict(
    model="faster_rcnn_resnet34_v1b",
    optimizer="lars",
    lr_mode="cosine",
    batch_growth="2:3",
    teacher="some",
    anchor_scales="1,2",
    proposals="300,200",
    short_range="480,800",
    hard_weight="0.4",
    lr_restarts="1,2",
    loss_scale="128",
    data_processes="2",
    crop_area="0.2,1",
    task="detection",
)
OF_NETWORKS = [name for name, known in FLAGS.items() if known.metadata["group"] == "network"]


def value_of(name):
    """One that is not the default, as it is typed."""
    known = FLAGS[name]
    default, choices = known.default, known.metadata["choices"]
    if name in VALUES:
        return VALUES[name]
    if choices:
        return str(next(choice for choice in choices if choice != default))
    if isinstance(default, bool):
        return str(int(not default))
    if isinstance(default, tuple):
        return ",".join(
            f"{part / 2:g}" if type(part) is float else f"{part + 1}" for part in default
        )
    if isinstance(default, str):
        return "some"
    return str(default * 2 or 3) if isinstance(default, int) else f"{default / 2 or 0.3:g}"


def is_refused(name):
    words = "--task detection --model faster_rcnn_resnet18_v1d --rec-train some.rec".split()
    try:
        config = flags.parse([*words, flags.spelling(name), value_of(name)])
        if name in OF_NETWORKS:
            models.get_model(config.model, classes=config.classes, **models.options_of(config))
    except UserError as error:
        # --mixup-alpha turns --mixup on
        assert flags.spelling(name).replace("-alpha", "") in str(error), error
        return True
    return False


@pytest.mark.parametrize("name", FLAGS)
def test_a_flag_of_training_has_an_effect_or_is_refused(name):
    assert is_refused(name) == (name not in APPLY)


@pytest.mark.parametrize(
    "words, why",
    [
        ("--dtype float16", "whose box coordinates need more precision than float16"),
        ("--color-jitter 0.4", "whose images are only resized and mirrored"),
        ("--crop-ratio 0.5", "whose images are only resized and mirrored"),
        ("--last-gamma", "whose norms are frozen"),
        ("--cutmix 1", "whose labels are boxes"),
    ],
)
def test_it_is_said_why(words, why):
    with pytest.raises(UserError, match=f"{words}.* does not apply to --task detection, {why}"):
        flags.parse(["--task", "detection", *words.split()])


def test_anchors_that_fit_in_no_image_are_refused():
    words = "--task detection --input-size 48 --max-side 64 --anchor-scales".split()
    assert flags.parse([*words, "9,4"]).anchor_scales == (9, 4)
    with pytest.raises(UserError, match="smallest anchor, .* does not fit in --max-side 64"):
        flags.parse([*words, "9,4.1"])
