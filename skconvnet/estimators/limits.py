"""Limits on batch size and memory, checked before training and scoring."""

from contextlib import contextmanager

from skconvnet.architecture import walk
from skconvnet.architecture.summary import spell_bytes
from skconvnet.engine.device import CudaDevice
from skconvnet.engine.network import BYTES_PER_PARAMETER

LARGEST_AUTO_BATCH = 128
_SMALLEST_AUTO_BATCH = 32
_AUTO_IMAGES_SEEN = 600_000
_FEWEST_AUTO_EPOCHS, _MOST_AUTO_EPOCHS = 10, 20
_ALWAYS_AVAILABLE = 2**28  # bytes; asking the system for its memory would cost more than scoring one image


def auto_batch_size(n_images):
    """Return the minibatch size that ``batch_size="auto"`` means.

    Parameters
    ----------
    n_images : int
        Number of training images.

    Returns
    -------
    int
        One image in 512, clipped to [32, 128], and at most `n_images`.

    Examples
    --------
    >>> [auto_batch_size(n) for n in (10, 1_000, 50_000, 1_000_000)]
    [10, 32, 97, 128]
    """
    return min(n_images, max(_SMALLEST_AUTO_BATCH, min(LARGEST_AUTO_BATCH, n_images // 512)))


def number_of_epochs(max_iter, n_images, is_augmented=False):
    """Return the largest number of epochs of a fit.

    Parameters
    ----------
    max_iter : int or "auto"
        The parameter of an estimator. "auto" is the number that shows 600,000 images, but at least 10 and at most 20;
        twice that number if images are augmented.
    n_images : int
        Number of images to train on, without those of a validation set.
    is_augmented : bool, default=False
        Whether each epoch sees changed images.

    Returns
    -------
    int

    Examples
    --------
    >>> [number_of_epochs("auto", n) for n in (500, 30_000, 45_000, 60_000, 1_000_000)]
    [20, 20, 13, 10, 10]
    >>> number_of_epochs("auto", 45_000, is_augmented=True)
    26
    >>> number_of_epochs(3, 60_000)
    3
    """
    if max_iter == "auto":
        n_epochs = min(_MOST_AUTO_EPOCHS, max(_FEWEST_AUTO_EPOCHS, round(_AUTO_IMAGES_SEEN / n_images)))
        return 2 * n_epochs if is_augmented else n_epochs
    return int(max_iter)


def check_batch_size(bound, batch_size):
    """Raise a ValueError if a NORM(batch) would take the mean of a single number.

    Parameters
    ----------
    bound : BoundArchitecture
        The network.
    batch_size : int
        Images in a minibatch.
    """
    for layer in walk(bound.layers):
        if layer.kind == "NORM" and layer.mode == "batch" and batch_size * layer.input.height * layer.input.width == 1:
            raise ValueError(
                f"{layer.name} takes the mean over a minibatch. With {layer.input} and minibatches of 1 image, that is "
                "the mean of one number. Use a batch_size of at least 2, or NORM(layer)."
            )


def check_memory(bound, memory_needed, device):
    """Raise a ValueError if training a network needs more memory than the device has.

    Parameters
    ----------
    bound : BoundArchitecture
        The network. The error contains its volume table.
    memory_needed : callable
        Returns the bytes that training needs. It is not called if the parameters alone need too many.
    device : CpuDevice or CudaDevice
        Where it is trained.
    """
    table, available = bound.summary(), device.memory()
    needed = BYTES_PER_PARAMETER * table.n_params
    if needed <= available:
        needed = memory_needed()
    if needed <= available:
        return
    raise ValueError(
        f"The network needs {spell_bytes(needed)} of memory to train, and {device.name} has "
        f"{spell_bytes(available)}. {_how_to_need_less(table)}"
    )


def _how_to_need_less(table):
    """Return the end of an error: the layer that needs the most memory, what to do, and all layers."""
    largest = max(table.records, key=lambda layer: layer["n_params"] + layer["n_activations"])
    return (
        f"{largest['layer']}, {largest['notation']}, needs the most. Use fewer filters K, narrower FC layers, a larger "
        f"stride S, one more POOL, or a smaller batch_size.\n{table}"
    )


def memory_for_training(bound, device):
    """Return a context that turns the MemoryError of a GPU into a ValueError.

    The memory is checked before, but other processes may take it in between.

    Parameters
    ----------
    bound : BoundArchitecture
        The network. The error contains its volume table.
    device : CpuDevice or CudaDevice
        Where it is trained.
    """
    return _memory_of_gpu(device, "training", lambda: _how_to_need_less(bound.summary()))


def memory_for_scoring(image_shape, device):
    """Return a context that turns the MemoryError of a GPU into a ValueError.

    Parameters
    ----------
    image_shape : tuple of int
        (height, width, channels) of the images.
    device : CpuDevice or CudaDevice
        Where scores are computed.
    """
    advice = f"Use smaller images than {image_shape}, end other work on the GPU, or use device='cpu'."
    return _memory_of_gpu(device, "scoring", lambda: advice)


@contextmanager
def _memory_of_gpu(device, task, advice):
    try:
        yield
    except MemoryError as error:
        if not isinstance(device, CudaDevice):
            raise
        raise ValueError(
            f"Memory ran out in {task} on {device.name} ({error}); {spell_bytes(device.free_memory())} of the GPU are "
            f"free now. {advice()}"
        ) from error


def check_scoring_memory(image_shape, needed, device):
    """Raise a ValueError if computing scores needs more memory than the device has.

    Parameters
    ----------
    image_shape : tuple of int
        (height, width, channels) of the images.
    needed : int
        Bytes.
    device : CpuDevice or CudaDevice
        Where they are computed.
    """
    if needed > _ALWAYS_AVAILABLE and needed > (available := device.memory()):
        raise ValueError(
            f"Scoring images of shape {image_shape} needs {spell_bytes(needed)} of memory, and {device.name} has "
            f"{spell_bytes(available)}. Use fewer images at a time, smaller images, or n_jobs=1."
        )
