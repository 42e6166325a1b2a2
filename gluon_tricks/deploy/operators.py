"""The MXNet operators that an exported symbol may have: those of the zoo's networks and those that
export adds.

MXNet has operators that call a pointer (``_Native``), load code or allocate as much as an attribute
asks for, and most of them read inputs and attributes without checking that these exist. So a symbol
from elsewhere is run only if all its operators, attributes and values are of the kinds that
``gluon-tricks export`` writes. A network with another operator needs a line here;
``tests/deploy/test_symbol_file.py`` shows which.
"""

import math
import re
from typing import NamedTuple, Tuple

INTEGERS = re.compile(r"-?\d{1,7}|[(\[]((-?\d{1,7}|None)(, ?|(?=[)\]])))*[)\]]")
NUMBER = re.compile(r"[-+]?\d+(\.\d*)?(e[-+]?\d+)?", re.IGNORECASE)
LONGEST = 1000  # characters of a value


def integers(text):
    """Whether the text is an integer or a tuple of integers."""
    return len(text) <= LONGEST and bool(INTEGERS.fullmatch(text))


def axes(text):
    """Whether the text is the number of an axis or a tuple of them."""
    return integers(text) and all(abs(int(number)) < 8 for number in re.findall(r"-?\d+", text))


def end(text):
    """Whether the text is an integer, or None for the end of an axis."""
    return text == "None" or integers(text)


def widths(text):
    """Whether the text is a tuple of integers, none negative."""
    return integers(text) and "-" not in text and "None" not in text


def number(text):
    """Whether the text is a finite number."""
    return len(text) <= LONGEST and bool(NUMBER.fullmatch(text)) and math.isfinite(float(text))


def switch(text):
    """Whether the text is a truth value."""
    return text in ("True", "False", "true", "false", "1", "0")


def one_of(*allowed):
    """A check that the text is one of a few."""
    return lambda text: text in allowed


def short(text):
    """Whether the text is of a reasonable length."""
    return len(text) <= LONGEST


class Operator(NamedTuple):
    """``inputs``: the allowed numbers of inputs, empty if the other parts of the operator determine
    it; ``outputs``: the number of outputs.
    """

    inputs: Tuple[int, ...]
    attributes: dict
    outputs: int = 1
    # indices of inputs that have to be variables: the operator writes to them, or infers their
    # shape
    states: Tuple[int, ...] = ()


CONVOLUTION = dict(
    dilate=integers,
    kernel=integers,
    layout=one_of("NCHW"),
    no_bias=switch,
    num_filter=integers,
    num_group=integers,
    pad=integers,
    stride=integers,
)
POOLING = dict(
    count_include_pad=switch,
    global_pool=switch,
    kernel=integers,
    layout=one_of("NCHW"),
    pad=integers,
    pool_type=one_of("avg", "max"),
    pooling_convention=one_of("full", "valid"),
    stride=integers,
)
BATCH_NORM = dict(
    axis=one_of("1"), eps=number, fix_gamma=switch, momentum=number, use_global_stats=switch
)
ACTIVATION = dict(act_type=one_of("relu", "sigmoid", "softrelu", "softsign", "tanh"))
RANGE = dict(min_calib_range=number, max_calib_range=number)
FUSED = dict(
    RANGE,
    quantized=switch,
    with_act=switch,
    with_bn=switch,
    with_eltwise=switch,
    with_postsum_act=switch,
    with_sum=switch,
    enable_float_output=switch,
)

OPERATORS = {
    "null": Operator(
        (0,),
        dict(
            __dtype__=integers,
            __init__=short,
            __lr_mult__=number,
            __shape__=integers,
            __storage_type__=one_of("0"),
            __wd_mult__=number,
        ),
    ),
    "Activation": Operator((1,), ACTIVATION),
    "BatchNorm": Operator((5,), BATCH_NORM, states=(1, 2, 3, 4)),
    "Cast": Operator((1,), dict(dtype=one_of("float32"))),
    "Concat": Operator((), dict(dim=axes, num_args=integers)),
    "Convolution": Operator((), CONVOLUTION),
    "Dropout": Operator((1,), dict(axes=axes, cudnn_off=switch, p=number)),
    "Flatten": Operator((1,), {}),
    "FullyConnected": Operator((), dict(flatten=switch, no_bias=switch, num_hidden=integers)),
    "LeakyReLU": Operator((1,), dict(act_type=one_of("leaky"), slope=number)),
    "Pad": Operator(
        (1,), dict(constant_value=number, mode=one_of("constant", "reflect"), pad_width=widths)
    ),
    "Pooling": Operator((1,), POOLING),
    "Reshape": Operator((1,), dict(shape=integers)),
    "SwapAxis": Operator((1,), dict(dim1=axes, dim2=axes)),
    "UpSampling": Operator(
        (1,), dict(num_args=one_of("1"), sample_type=one_of("nearest"), scale=integers)
    ),
    "_contrib_AdaptiveAvgPooling2D": Operator((1,), dict(output_size=integers)),
    "_contrib_BilinearResize2D": Operator(
        (), dict(height=integers, width=integers, mode=one_of("like"))
    ),
    "_div_scalar": Operator((1,), dict(scalar=number)),
    "_minus_scalar": Operator((1,), dict(scalar=number)),
    "_mul_scalar": Operator((1,), dict(scalar=number)),
    "_plus_scalar": Operator((1,), dict(scalar=number)),
    "_power_scalar": Operator((1,), dict(scalar=number)),
    "broadcast_add": Operator((2,), {}),
    "broadcast_div": Operator((2,), {}),
    "broadcast_mul": Operator((2,), {}),
    "broadcast_sub": Operator((2,), {}),
    "clip": Operator((1,), dict(a_min=number, a_max=number)),
    "elemwise_add": Operator((2,), {}),
    "elemwise_mul": Operator((2,), {}),
    "expand_dims": Operator((1,), dict(axis=axes)),
    "mean": Operator((1,), dict(axis=axes, keepdims=switch)),
    "ones_like": Operator((1,), {}),
    "relu": Operator((1,), {}),
    "reshape_like": Operator((2,), {}),
    "rsqrt": Operator((1,), {}),
    "sigmoid": Operator((1,), {}),
    "slice": Operator((1,), dict(begin=integers, end=integers)),
    "slice_axis": Operator((1,), dict(axis=axes, begin=integers, end=end)),
    "slice_like": Operator((2,), dict(axes=axes)),
    "softmax": Operator((1,), dict(axis=axes)),
    "square": Operator((1,), {}),
    "sum": Operator((1,), dict(axis=axes, keepdims=switch)),
    "transpose": Operator((1,), dict(axes=axes)),
    # of detectors
    "BlockGrad": Operator((1,), {}),
    "SliceChannel": Operator((1,), dict(axis=axes, num_outputs=one_of("4")), outputs=4),
    "_contrib_ROIAlign": Operator(
        (2,), dict(pooled_size=widths, sample_ratio=one_of("2"), spatial_scale=one_of("0.0625"))
    ),
    "_contrib_arange_like": Operator((1,), dict(axis=axes)),
    "_contrib_box_nms": Operator(
        (1,),
        dict(
            coord_start=one_of("1", "2"),
            force_suppress=switch,
            id_index=one_of("-1", "0"),
            overlap_thresh=number,
            score_index=one_of("0", "1"),
            topk=integers,
            valid_thresh=number,
        ),
    ),
    "_greater_scalar": Operator((1,), dict(scalar=number)),
    "_lesser_scalar": Operator((1,), dict(scalar=number)),
    "_maximum_scalar": Operator((1,), dict(scalar=number)),
    "abs": Operator((1,), {}),
    "broadcast_axis": Operator((1,), dict(axis=axes, size=integers)),
    "broadcast_minimum": Operator((2,), {}),
    "elemwise_sub": Operator((2,), {}),
    "exp": Operator((1,), {}),
    "where": Operator((3,), {}),
    "zeros_like": Operator((1,), {}),
    # of INT8; their last two outputs are the range
    "_contrib_dequantize": Operator((3,), {}),
    "_contrib_quantize_v2": Operator((1,), dict(RANGE, out_type=one_of("auto")), outputs=3),
    "_contrib_quantized_act": Operator((3,), ACTIVATION, outputs=3),
    "_contrib_quantized_batch_norm": Operator(
        (7,), dict(BATCH_NORM, **RANGE), outputs=3, states=(1, 2, 3, 4)
    ),
    "_contrib_quantized_concat": Operator((), dict(dim=axes, num_args=integers), outputs=3),
    "_contrib_quantized_elemwise_add": Operator((6,), RANGE, outputs=3),
    "_contrib_quantized_elemwise_mul": Operator((6,), RANGE, outputs=3),
    "_contrib_quantized_flatten": Operator((3,), {}, outputs=3),
    "_contrib_quantized_pooling": Operator((3,), POOLING, outputs=3),
    "_sg_mkldnn_conv": Operator((), FUSED, outputs=3),
    "_sg_mkldnn_fully_connected": Operator((), FUSED, outputs=3),
}
# The values with which MXNet turns a switch on.
TRUE = ("True", "true", "1")
