"""The augmentation by Pillow, as in torchvision, for comparison with our loader.

Crops, flips, operations and colours are drawn as in our loader; Pillow resizes with smoothing. Each
thread of a pool does one image at a time.
"""

import concurrent.futures
import io

import numpy as np

JITTER = dict(brightness="Brightness", contrast="Contrast", saturation="Color")


def batches(config, images):
    """Yield the sizes of batches with at least this many images together."""
    from ..data import randomness
    from ..data.records import RecordFile
    from ..data.transforms.paper import train_transform

    transform, size = train_transform(config), config.batch_size
    pool = concurrent.futures.ThreadPoolExecutor(config.num_data_workers)
    with RecordFile(config.rec_train, config.rec_train_idx) as records, pool:
        order = randomness.permutation(len(records), config.seed, epoch=0)
        for start in range(0, images + size, size):
            places = order.take(np.arange(start, start + size), mode="wrap")
            drawn = transform.sample(config.seed, 0, records.keys[places])
            batch = np.empty((size, 3, config.input_size, config.input_size), np.float32)

            def fill(row, places=places, drawn=drawn, batch=batch):
                image = augmented(records.read(places[row])[1], transform, drawn, row)
                batch[row] = normalised(image, config)

            list(pool.map(fill, range(size)))
            yield size


def augmented(payload, transform, drawn, i):
    """The Pillow image from ``payload``, augmented by the ``i``-th row of what was drawn."""
    from PIL import Image, ImageEnhance, ImageOps

    values = drawn.values
    image = Image.open(io.BytesIO(payload)).convert("RGB")
    y, x, height, width = transform.window(image.height, image.width, drawn, i)
    box, size = (x, y, x + width, y + height), (transform.size, transform.size)
    image = image.crop(box).resize(size, Image.BILINEAR)
    if "flip" in values and values["flip"][i]:
        image = ImageOps.mirror(image)
    if "AutoAugment" in values:
        image = with_operations(image, values["AutoAugment"][i])
    for name, enhancer in JITTER.items():
        if name in values:
            image = getattr(ImageEnhance, enhancer)(image).enhance(float(values[name][i]))
    return image


def with_operations(image, value):
    """The image after the operations of an AutoAugment sample."""
    from PIL import Image, ImageEnhance, ImageOps

    from ..data.transforms.policy import done
    from ..data.transforms.warp import WARPS

    for name, argument in done(value):
        if name == "rotate":
            image = image.rotate(argument)
        elif name in WARPS:
            matrix = WARPS[name](argument, image.height, image.width)
            image = image.transform(image.size, Image.AFFINE, matrix)
        elif hasattr(ImageEnhance, name.title()):
            image = getattr(ImageEnhance, name.title())(image).enhance(argument)
        elif name == "posterize":
            image = ImageOps.posterize(image, int(argument))
        elif name == "solarize":
            image = ImageOps.solarize(image, argument)
        else:
            image = getattr(ImageOps, name)(image)
    return image


def normalised(image, config):
    """float32 (3, height, width) of a Pillow image."""
    pixels = np.asarray(image).transpose(2, 0, 1).astype(np.float32)
    mean, std = (np.float32(each)[:, None, None] for each in (config.rgb_mean, config.rgb_std))
    return (pixels - mean) / std
