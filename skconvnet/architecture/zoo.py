"""The architectures by name, and ``architecture="auto"``."""

import re
from collections.abc import Mapping
from itertools import islice, repeat

from skconvnet.architecture.architecture import Architecture
from skconvnet.architecture.binding import image_volume
from skconvnet.architecture.case_studies import CASE_STUDIES
from skconvnet.architecture.errors import ArchitectureError, did_you_mean, shown
from skconvnet.architecture.hyperparameters import Hyperparameters, spread
from skconvnet.architecture.layers.arithmetic import output_extent, padding
from skconvnet.architecture.notation.table import MAX_LAYERS
from skconvnet.architecture.published import PUBLISHED

_DEFAULTS = Hyperparameters()
_SMALLEST_PHOTOGRAPH = 32  # pixels of the shorter side
_BLOCK = "[CONV(round=floor) -> RELU]*N{pool}"

_PATTERNS = {  # the examples of the CS231n notes, section "Layer Patterns"
    "linear": "INPUT -> FC",
    "simple": "INPUT -> CONV -> RELU -> POOL -> FC",
    "conv": "INPUT -> CONV -> RELU -> FC",
    "single-conv": "INPUT -> [CONV -> RELU -> POOL]*2 -> FC -> RELU -> FC",
    "double-conv": "INPUT -> [CONV -> RELU -> CONV -> RELU -> POOL]*3 -> [FC -> RELU]*2 -> FC",
    "pattern": "INPUT -> [[CONV -> RELU]*N -> POOL?]*M -> [FC -> RELU]*K -> FC",
}


class _Architectures(Mapping):
    """Architectures by name. A text is parsed when it is first asked for: the import of the package is quicker."""

    def __init__(self, texts):
        self._texts = texts
        self._parsed = {}

    def __getitem__(self, name):
        if name not in self._texts:
            raise KeyError(_no_such_name(name, self._texts))
        if name not in self._parsed:
            self._parsed[name] = Architecture.parse(self._texts[name])
        return self._parsed[name]

    def __iter__(self):
        return iter(self._texts)

    def __len__(self):
        return len(self._texts)

    def __contains__(self, name):
        return name in self._texts

    def __repr__(self):
        return repr(dict(self))


def _no_such_name(wanted, names):
    return f"no architecture is named {shown(wanted)}{did_you_mean(str(wanted), names) or '.'}"


_STUDIES = CASE_STUDIES | PUBLISHED
ARCHITECTURES = _Architectures(_PATTERNS | {name: study.text for name, study in _STUDIES.items()})


def find_architecture(wanted, image_shape, hyperparameters=_DEFAULTS):
    """Return an architecture from its name or its text.

    Parameters
    ----------
    wanted : str or Architecture
        "auto", a name in `ARCHITECTURES`, a text in the notation, or an `Architecture`, which is returned.
    image_shape : sequence of two or three ints
        (height, width, channels), for "auto".
    hyperparameters : Hyperparameters, optional
        For "auto".

    Returns
    -------
    Architecture

    Raises
    ------
    ArchitectureError
        If `wanted` is none of these.

    Examples
    --------
    >>> print(find_architecture("linear", (28, 28, 1)))
    INPUT -> FC
    """
    if isinstance(wanted, Architecture):
        return wanted
    if not isinstance(wanted, str):
        raise ArchitectureError(f"an architecture is a text, a name or an Architecture, got {shown(wanted)}")
    wanted = wanted.strip()
    if is_auto(wanted):
        return auto_architecture(image_shape, hyperparameters)
    if wanted in ARCHITECTURES:
        return ARCHITECTURES[wanted]
    if re.fullmatch(r"[A-Za-z][\w.-]*", wanted) and wanted != "INPUT":
        raise ArchitectureError(
            f"{_no_such_name(wanted, ['auto', *ARCHITECTURES])} The names are 'auto' and those in "
            "skconvnet.ARCHITECTURES, such as 'lenet5' and 'resnet20'. A text such as 'INPUT -> CONV -> RELU -> FC' is "
            "possible too"
        )
    return Architecture.parse(wanted)


def is_auto(wanted):
    """Return whether an architecture is to be chosen for the size of the images.

    Parameters
    ----------
    wanted : str or Architecture
        As `find_architecture` takes it.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_auto(" auto"), is_auto("lenet5")
    (True, False)
    """
    return isinstance(wanted, str) and wanted.strip() == "auto"


def find_study(wanted):
    """Return the case study or published network of a name or text; None if there is none.

    Parameters
    ----------
    wanted : str or Architecture
        As `find_architecture` takes it.

    Returns
    -------
    CaseStudy or None

    Examples
    --------
    >>> find_study("vgg16").n_classes
    1000
    """
    if isinstance(wanted, str):
        return _STUDIES.get(wanted.strip())
    source = getattr(wanted, "source", None)
    return next((study for study in _STUDIES.values() if study.text == source), None)


def auto_architecture(image_shape, hyperparameters=_DEFAULTS):
    """Return the architecture for ``architecture="auto"``: the pattern of the CS231n notes, fitted to the image size.

    CONV and POOL round down. From the first block whose volume is smaller than pool_F, there is no POOL. For
    photographs, images of three channels whose shorter side has at least 32 pixels, a NORM follows each CONV, the POOL
    of a block comes before its second CONV, if that fits, and the mean of each depth slice goes to the only FC.

    Parameters
    ----------
    image_shape : sequence of two or three ints
        (height, width, channels).
    hyperparameters : Hyperparameters, optional

    Returns
    -------
    Architecture

    Raises
    ------
    ArchitectureError
        If `image_shape` is not two or three positive whole numbers, or if a sequence has the wrong length.

    Examples
    --------
    >>> print(auto_architecture((28, 28, 1)))
    INPUT -> [[CONV(round=floor) -> RELU]*N -> POOL(round=floor)?]*M -> [FC -> RELU]*K -> FC
    >>> print(auto_architecture((1, 100, 1)))
    INPUT -> [[CONV(round=floor) -> RELU]*N]*M -> [FC -> RELU]*K -> FC
    >>> print(auto_architecture((6, 6, 1), Hyperparameters(M=4)))
    INPUT -> [[CONV(round=floor) -> RELU]*N -> POOL(round=floor)?]*2 -> [[CONV(round=floor) -> RELU]*N]*2
    -> [FC -> RELU]*K -> FC
    >>> print(auto_architecture((32, 32, 3)))
    INPUT -> [CONV(round=floor) -> POOL(round=floor)? -> NORM -> RELU -> [CONV(round=floor) -> NORM -> RELU]*1]*M
    -> POOL(average, F=all) -> FC
    """
    image = image_volume(image_shape)
    n_blocks, n_pooled = _count_blocks(image, hyperparameters)
    is_photograph = image.depth == 3 and min(image.height, image.width) >= _SMALLEST_PHOTOGRAPH
    if not is_photograph or hyperparameters.N == 0:
        return _parse(_BLOCK, n_blocks, n_pooled, "[FC -> RELU]*K -> FC")
    end = "POOL(average, F=all) -> FC"
    first = _parse(_pool_first(hyperparameters.N), n_blocks, n_pooled, end)
    try:
        first.bind(image_shape, 1, hyperparameters)
    except ArchitectureError:  # behind a POOL, filters without padding may not fit
        return _parse("[CONV(round=floor) -> NORM -> RELU]*N{pool}", n_blocks, n_pooled, end)
    return first


def _pool_first(n_convs):
    """Return a block whose POOL comes before its second CONV, which then costs a quarter."""
    first = "CONV(round=floor){pool} -> NORM -> RELU"
    return first if n_convs == 1 else f"{first} -> [CONV(round=floor) -> NORM -> RELU]*{n_convs - 1}"


def _parse(block, n_blocks, n_pooled, end):
    return Architecture.parse(f"INPUT -> {_repeat(block, n_blocks, n_pooled)} -> {end}")


def _repeat(block, n_blocks, n_pooled):
    """Return the text of the blocks; the first `n_pooled` of them have a POOL."""
    pooled, plain = f"[{block}]".format(pool=" -> POOL(round=floor)?"), f"[{block}]".format(pool="")
    if n_pooled == n_blocks:
        return f"{pooled}*M"
    if n_pooled == 0:
        return f"{plain}*M"
    return f"{pooled}*{n_pooled} -> {plain}*{n_blocks - n_pooled}"


def _count_blocks(image, hyperparameters):
    """Return the number of blocks, and the number before the first block whose POOL does not fit."""
    times = hyperparameters.repetitions(image)
    n_blocks, n_convs = times["M"], times["N"]
    if n_blocks * max(1, n_convs) > MAX_LAYERS:
        raise ArchitectureError(f"N={n_convs} times M={n_blocks} CONV layers, and at most {MAX_LAYERS} are allowed")
    blocks = [block for block in range(n_blocks) for _ in range(n_convs)]
    convs = zip(*(spread(name, getattr(hyperparameters, name), blocks, n_blocks) for name in "FSP"), strict=True)
    pools = zip(_each(hyperparameters.pool_F), _each(hyperparameters.pool_S), strict=False)
    extents = image.height, image.width
    for block, is_pooled in zip(range(n_blocks), _each(hyperparameters.pool), strict=False):
        for F, S, P in islice(convs, n_convs):
            name = f"a CONV of block {block + 1}"
            extents = [output_extent(W, F, S, padding(P, F, name), "floor", name) for W in extents]
        if is_pooled:
            # If the sequence is too short, F=0 fits everywhere, and binding raises the error about its length.
            F, S = next(pools, (0, 1))
            if min(extents) < F:
                return n_blocks, block
            extents = [output_extent(W, F, S, 0, "floor", "POOL") for W in extents]
    return n_blocks, n_blocks


def _each(value):
    """Return an iterator over the values of a tuple, or over one value without end."""
    return iter(value) if isinstance(value, tuple) else repeat(value)
