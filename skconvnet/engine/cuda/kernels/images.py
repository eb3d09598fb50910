"""Images: their pixels standardised into the network's input, as they are or augmented.

A block works on a chunk of one image; each thread has one number. Strides are in float32 elements.
"""

from skconvnet.engine.cuda.compiler import Address, float32, inlined, int32, int64, kernel, uint64
from skconvnet.engine.cuda.kernels.activations import mix
from skconvnet.engine.cuda.llvm.memory import load, load_byte, load_int, store
from skconvnet.engine.cuda.llvm.threads import block, chunk, over, thread
from skconvnet.engine.program.instructions import ONE, Warp

__all__ = ["load_images", "lower_load_images"]

_THREADS = 256
_WARP_BYTES = 4 * len(Warp)
_FLIP, _DOWN, _RIGHT, _TOP, _LEFT, _BOTTOM, _END, *_FURTHER = (4 * column for column in Warp)
_COSINE, _SINE, _CONTRAST, _BRIGHTNESS, _NOISE, _NOISE_KEY, _PARTNER, _SHARE = _FURTHER
_DEVIATION = 1 / (ONE * ((2**32 - 1) / 3) ** 0.5)  # as on the CPU


@kernel(_THREADS)
def load_images(
    y: Address,
    pixels: Address,
    indices: Address,
    warps: Address,
    mean: Address,
    scale: Address,
    step: Address,
    batch,
    rows,
    columns,
    depth,
    y_row,
    y_depth,
    y_sample,
    is_bytes,
    is_warped,
):
    """Standardise the images of a minibatch, channel by channel: (pixel - mean) * scale.

    With warps, images are changed as `Warp` says; the noise has the CPU's bits. Outside an image and inside its
    rectangle, numbers are 0, the mean of the training pixels.

    Parameters
    ----------
    y : Address
        Pixel (0, 0) of the first sample, written: ``depth`` numbers a pixel, which are ``y_depth`` apart.
    pixels : Address
        (images, rows, columns, depth), uint8 with ``is_bytes``, else float32.
    indices : Address
        (steps, batch) of int32: the images of each minibatch.
    warps : Address
        (steps, batch, columns of Warp) of int32, read with ``is_warped``. They may be any numbers.
    mean, scale : Address
        (depth,) of float32.
    step : Address
        The number of the step, int32.
    """
    at, line = _THREADS * chunk() + thread(), columns * depth
    if at < rows * line:
        row = over(at, line)
        column = over(at - row * line, depth)
        channel = at - row * line - column * depth
        place = load_int(step) * batch + block()
        image = load_int(indices + 4 * place)
        mu, deviation = load(mean + 4 * channel), load(scale + 4 * channel)
        if is_warped:
            warp = warps + place * _WARP_BYTES
            value = _resampled(pixels, is_bytes, image, rows, columns, depth, row, column, channel, warp, mu, deviation)
            share = load_int(warp + _SHARE)
            if share != 0:
                partner = load_int(warp + _PARTNER)
                other, warp = load_int(indices + 4 * (place + partner)), warp + partner * _WARP_BYTES
                mixed = _resampled(
                    pixels, is_bytes, other, rows, columns, depth, row, column, channel, warp, mu, deviation
                )
                value = value * (float32(ONE - share) / float32(ONE)) + mixed * (float32(share) / float32(ONE))
        else:
            value = _pixel(pixels, is_bytes, (image * (rows * columns) + row * columns + column) * depth + channel)
            value = (value - mu) * deviation
        store(y + 4 * (block() * y_sample + row * y_row + column * y_depth + channel), value)


@inlined
def _pixel(pixels, is_bytes, number):
    """Return number `number` of the pixels."""
    return load_byte(pixels + number) if is_bytes else load(pixels + 4 * number)


@inlined
def _resampled(pixels, is_bytes, image, rows, columns, depth, row, column, channel, warp, mu, deviation):
    """Return a number of an image with all changes of its row `warp` but the mixing."""
    if load_int(warp + _TOP) <= row and row < load_int(warp + _BOTTOM):
        if load_int(warp + _LEFT) <= column and column < load_int(warp + _END):
            return float32(0)
    cosine, sine = int64(load_int(warp + _COSINE)), int64(load_int(warp + _SINE))
    # Twice the distances from the centre, so that they are whole; then places in parts of 2 ONE.
    below, across = int64(2 * row - rows + 1), int64(2 * column - columns + 1)
    from_row = (int64(row) + int64(load_int(warp + _DOWN))) * int64(2 * ONE) + cosine * below - sine * across
    from_column = (int64(column) + int64(load_int(warp + _RIGHT))) * int64(2 * ONE) + cosine * across + sine * below
    top, left = from_row >> int64(17), from_column >> int64(17)
    down = float32(from_row - (top << int64(17))) / float32(2 * ONE)
    right = float32(from_column - (left << int64(17))) / float32(2 * ONE)
    contrast = float32(load_int(warp + _CONTRAST)) / float32(ONE) + float32(1)
    brightness = float32(load_int(warp + _BRIGHTNESS)) / float32(ONE)
    flip = load_int(warp + _FLIP)
    total = float32(0)
    for corner in range(4):
        r, c = top + int64(corner >> 1), left + int64(corner & 1)
        part = (down if corner >> 1 else float32(1) - down) * (right if corner & 1 else float32(1) - right)
        if part != float32(0) and r >= 0 and r < rows and c >= 0 and c < columns:
            from_r, from_c = int32(r), int32(c)
            if flip:
                from_c = columns - 1 - from_c
            number = (image * (rows * columns) + from_r * columns + from_c) * depth + channel
            value = (_pixel(pixels, is_bytes, number) - mu) * deviation
            total += part * (value * contrast + brightness)
    noise = load_int(warp + _NOISE)
    if noise != 0:
        key = uint64(int64(load_int(warp + _NOISE_KEY)))
        bits = mix(key, uint64((row * columns + column) * depth + channel))
        total += float32(noise) * float32(_DEVIATION) * _normal(bits)
    return total


@inlined
def _normal(bits):
    """Return the sum of the four 16 bits of a random uint64, less its mean: nearly normal, and exact in float32."""
    low = (bits & uint64(0xFFFF)) + ((bits >> uint64(16)) & uint64(0xFFFF))
    high = ((bits >> uint64(32)) & uint64(0xFFFF)) + (bits >> uint64(48))
    return float32(int64(low + high) - int64(2 * 0xFFFF))


def lower_load_images(call):
    """Yield the launch of LOAD_IMAGES."""
    size = call["rows"] * call["columns"] * call["depth"]
    yield call.launch(load_images, call.over_numbers(load_images, size))
