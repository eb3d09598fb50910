"""What the page of the demo needs to know, as plain values: the tables of the notation, and numbers to convolve.

The scripts of the page parse and bind texts as `skconvnet.architecture` does. Their tables are made from those of that
room, so that each layer, option, limit and name is written down once.
"""

from dataclasses import MISSING, asdict, fields

import numpy as np

from skconvnet.architecture import ARCHITECTURES, CASE_STUDIES, PUBLISHED, Hyperparameters, binding, errors, summary
from skconvnet.architecture.hyperparameters import PER_BLOCK, ROUNDINGS, SMALLEST_SIDE
from skconvnet.architecture.layers import LAYERS, arithmetic
from skconvnet.architecture.layers.base import InPlaceLayer
from skconvnet.architecture.notation import names, table

LARGEST = {"W": 16, "H": 16, "D": 8, "F": 11, "S": 16, "P": 8, "K": 8}  # what fits on a screen
_IMAGE_SHAPE, _N_CLASSES = (32, 32, 3), 10  # of an architecture that is no case study


def notation_data():
    """Return the tables of the notation, the layers, the defaults and the architectures.

    Returns
    -------
    dict
        Of plain values. Tuples stand for lists.

    Examples
    --------
    >>> data = notation_data()
    >>> data["notation"]["FC"]["units"]["expected"], data["limits"]["nesting"]
    ('a whole number from 1 to 2147483647', 50)
    """
    return {
        "limits": {
            "layers": table.MAX_LAYERS,
            "nesting": table.MAX_NESTING,
            "characters": table.MAX_CHARACTERS,
            "number": table.MAX_NUMBER,
            "reach": arithmetic.REACH,
            "context": errors.CONTEXT,
        },
        "notation": {
            kind: {name: asdict(option) | {"expected": option.expected} for name, option in options.items()}
            for kind, options in table.NOTATION.items()
        },
        "repeat_letters": table.REPEAT_LETTERS,
        "arrows": table.ARROWS,
        "operators": table.OPERATORS,
        "names": {
            "not_written": names.NOT_WRITTEN,
            "written": names.WRITTEN,
            "missing": names.MISSING,
            "options": names.OPTIONS_ELSEWHERE,
        },
        "in_place": {layer.kind: _defaults(layer) for layer in LAYERS if issubclass(layer, InPlaceLayer)},
        "hyperparameters": asdict(Hyperparameters()),
        "per_block": PER_BLOCK,
        "roundings": ROUNDINGS,
        "smallest_side": SMALLEST_SIDE,
        "automatic_K": {"first": binding.FIRST_K, "largest": binding.LARGEST_K},
        "n_classes": binding.N_CLASSES,
        "architectures": {name: _example(name) for name in ARCHITECTURES},
        "summary": {
            "header": summary.HEADER,
            "notes": summary.NOTES_HEADER,
            "bytes": summary.BYTES,
            "batch_size": summary.BATCH_SIZE,
            "optimizer_state": summary.OPTIMIZER_STATE,
        },
    }


def _defaults(layer):
    """Return the options that a layer sets itself."""
    return {field.name: field.default for field in fields(layer) if field.default is not MISSING}


def _example(name):
    study = (CASE_STUDIES | PUBLISHED).get(name)
    height, width, channels = study.image_shape if study else _IMAGE_SHAPE
    return {
        "text": ARCHITECTURES[name].source,
        "W": width,
        "H": height,
        "D": channels,
        "classes": study.n_classes if study else _N_CLASSES,
    }


def convolution_data(settings, seed):
    """Return the input volume, the filters and the biases of the demo.

    They are as large as the largest settings. A smaller volume or filter is their beginning, so that a number stays
    where it is while a reader changes the settings.

    Parameters
    ----------
    settings : dict
        The first values of W, H, D, F, S, P and K.
    seed : int
        Determines the numbers.

    Returns
    -------
    dict
        "input" (H, W, D) has numbers from 0 to 2, "weights" (K, F, F, D) from -1 to 1, and "biases" (K,) 0 or 1.

    Examples
    --------
    >>> convolution_data({"W": 7}, seed=0)["biases"]
    [1, 1, 1, 0, 0, 0, 0, 0]
    """
    rng = np.random.default_rng(seed)
    side, depth, F, K = (LARGEST[letter] for letter in "WDFK")
    return {
        "settings": settings,
        "largest": LARGEST,
        "biases": rng.integers(0, 2, K).tolist(),
        "input": rng.integers(0, 3, (side, side, depth)).tolist(),
        "weights": rng.integers(-1, 2, (K, F, F, depth)).tolist(),
    }
