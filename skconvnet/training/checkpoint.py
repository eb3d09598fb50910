"""Checkpoints: the state of a fit in a file, written after every epoch and read when the same fit is started again.

The file is NumPy's .npz, read without pickle. It has a header of JSON, which keeps every bit of a float, and arrays in
the order that users know: `coefs_`, `intercepts_`, `norm_means_`, `norm_variances_`.
"""

import hashlib
import json
import os
import warnings
import zipfile
from dataclasses import dataclass
from itertools import chain
from math import inf, isfinite, prod
from pathlib import Path

import numpy as np

from skconvnet.engine import OptimizerState, PixelSource
from skconvnet.training.atomic import find_target, remove_parts, replacing
from skconvnet.training.history import History, Plateau
from skconvnet.training.state import TrainingState

SEEDS = "the seeds of random_state"
_FORMAT = "skconvnet checkpoint 2"
_ADDED = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}  # what a fit had before it wrote these
_NUMBERS = ("fit", "seed", "n_steps", "n_images", "n_plateaus", "plateau_count")
_CURVES = ("loss_curve", "accuracy_curve", "validation_scores")
_RATES = "learning_rates"  # which files of older versions do not have
_ARRAYS = ("parameters", "moments", "best")
_BLOCK_BYTES = 2**24  # images are read in blocks of this size, so that a memory map stays on the disk
MANY_FITS = "A cross-validation or a search fits many networks, and needs checkpoint=None"


class OccupiedError(Exception):
    """The file that a checkpoint would replace is not a checkpoint of the same fit."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a file contains. Types, array shapes, and the ranges of single numbers have been checked.

    Parameters
    ----------
    fit : dict of str to JSON values
        The identity of the fit: everything that decides about its result, by the names that an error uses.
    seed, n_steps : int
        The seed of the fit, and the steps of its optimizer.
    n_images, n_plateaus, plateau_count : int
        As in `History` and its `Plateau`.
    loss_curve, accuracy_curve, validation_scores : list of float
        As in `History`.
    parameters : ndarray of float32, (n,)
        All learned numbers.
    moments : ndarray of float32, (2, n)
        The optimizer's.
    best : ndarray of float32, (n,), or (0,) without early stopping
        The learned numbers with the best validation score.
    learning_rates : list of float
        As in `History`.
    """

    fit: dict
    seed: int
    n_steps: int
    n_images: int
    n_plateaus: int
    plateau_count: int
    loss_curve: list
    accuracy_curve: list
    validation_scores: list
    parameters: np.ndarray
    moments: np.ndarray
    best: np.ndarray
    learning_rates: list

    @property
    def n_epochs(self):
        """The epochs that have ended."""
        return len(self.loss_curve)

    def __post_init__(self):
        for name in ("seed", "n_steps", "n_images", "n_plateaus", "plateau_count"):
            value = getattr(self, name)
            _require(type(value) is int and value >= 0, name)
        _require(self.seed < 2**32, "seed")
        _require(isinstance(self.fit, dict), "fit")
        for name in _CURVES:
            curve = getattr(self, name)
            _require(isinstance(curve, list) and all(type(x) is float and isfinite(x) for x in curve), name)
            _require(name == "loss_curve" or all(x <= 1 for x in curve), name)  # R2 may be negative
        rates = self.learning_rates
        _require(isinstance(rates, list) and all(type(x) is float and 0 <= x < inf for x in rates), _RATES)
        _require(len(rates) <= self.n_epochs, _RATES)
        n = self.parameters.size
        for name, shapes in {"parameters": [(n,)], "moments": [(2, n)], "best": [(n,), (0,)]}.items():
            array = getattr(self, name)
            _require(array.dtype == np.float32 and array.shape in shapes and np.isfinite(array).all(), name)


def _require(condition, name):
    """Raise a ValueError if a condition about the entry of this name is not met."""
    if not condition:
        raise ValueError(f"{name} is not that of a checkpoint")


class CheckpointFile:
    """The file of one fit, from the first look at it to the last epoch.

    Parameters
    ----------
    path : str or os.PathLike
        The file, which need not exist.

    Attributes
    ----------
    saved : Checkpoint or None
        What the file contained at first; None if there was no file.

    Raises
    ------
    ValueError
        If no file can be written there, or if the file is damaged or not a checkpoint.
    """

    def __init__(self, path):
        self.path = Path(os.fsdecode(path))
        try:
            self._target = find_target(self.path)
        except (OSError, ValueError) as error:
            home = " ~ is not expanded: os.path.expanduser does it." if str(self.path).startswith("~") else ""
            raise ValueError(
                f"checkpoint={str(self.path)!r} cannot be written: {_reason(error)}. Give the path of a file in a "
                f"directory that exists and is writable.{home}"
            ) from error
        self.saved = read_checkpoint(self.path)
        self._fit = None

    def claim(self, fit):
        """Record the identity of this fit; raise a ValueError if the file belongs to another fit."""
        if self.saved is not None:
            _check_same_fit(self.path, self.saved.fit, fit)
        self._fit = fit
        remove_parts(self._target)

    def state(self, layout, batches, schedule):
        """Return the saved state, to resume from.

        Parameters
        ----------
        layout : ParameterLayout
            The layout of the network's parameters.
        batches : Batches
            The minibatches of an epoch.
        schedule : Constant, Adaptive or OneCycle
            The learning rates at the beginning of the fit.

        Returns
        -------
        TrainingState

        Raises
        ------
        ValueError
            If the saved numbers cannot be those of this fit.
        """
        try:
            return _state_of(self.saved, layout, batches, schedule)
        except ValueError as error:
            raise _damaged(self.path) from error

    def write(self, trainer, history, best):
        """Write the state of a trainer after an epoch. If that fails, as on a full disk, warn: the fit continues.

        Parameters
        ----------
        trainer : Trainer
            The trainer.
        history : History
            The epochs so far.
        best : ndarray of float32, (n,)
            The parameters with the best validation score; only used with early stopping.
        """
        layout = trainer.network.parameter_layout
        checkpoint = Checkpoint(
            fit=self._fit,
            seed=trainer.seed,
            n_steps=trainer.state.n_steps,
            n_images=history.n_images,
            n_plateaus=history.n_plateaus,
            plateau_count=history.plateau.count,
            **{name: getattr(history, name) for name in _CURVES},
            parameters=_in_users_order(layout, trainer.network.parameters),
            moments=np.stack([_in_users_order(layout, moment) for moment in trainer.state.moments]),
            best=_in_users_order(layout, best) if history.stops_early else np.zeros(0, np.float32),
            learning_rates=list(history.learning_rates),
        )
        try:
            write_checkpoint(Path(os.path.realpath(self._target)), checkpoint)  # by now it may be a link
        except (OSError, OccupiedError) as error:
            warnings.warn(
                f"checkpoint={str(self.path)!r} was not written after epoch {history.n_epochs}, and is as it was "
                f"before: {_reason(error)}. The fit continues.",
                stacklevel=9,  # the caller of fit
            )


def _state_of(saved, layout, batches, schedule):
    """Make a `TrainingState` of a checkpoint; raise a ValueError if its numbers disagree with each other or the fit."""
    fit, n_epochs = saved.fit, saved.n_epochs
    scores, stops_early = saved.validation_scores, fit["early_stopping"]
    validates = stops_early or "the images X_val" in fit
    _require(1 <= n_epochs <= fit["max_iter"] and len(saved.accuracy_curve) == n_epochs, "loss_curve")
    _require(len(scores) == n_epochs * validates, "validation_scores")
    _require(saved.n_images == n_epochs * len(batches.indices), "n_images")
    _require(saved.n_steps <= n_epochs * len(batches), "n_steps")
    _require(saved.plateau_count <= n_epochs and saved.n_plateaus <= n_epochs, "counters")
    for _ in range(saved.n_plateaus):
        _require(schedule is not None, "n_plateaus")
        schedule = schedule.after_plateau()
    parameters = _from_users_order(layout, saved.parameters)
    moments = np.stack([_from_users_order(layout, moment) for moment in saved.moments])
    best = _from_users_order(layout, saved.best) if stops_early else None
    _require((moments[1] >= 0).all(), "moments")
    plateau = Plateau(min([-score for score in scores] if stops_early else saved.loss_curve), saved.plateau_count)
    curves = [getattr(saved, name) for name in _CURVES]
    rates = tuple(saved.learning_rates)
    history = History(*curves, saved.n_images, n_epochs, saved.n_plateaus, plateau, stops_early, rates)
    optimizer = OptimizerState(moments, saved.n_steps)
    return TrainingState(saved.seed, saved.n_steps, history, fit["solver"], optimizer, parameters, best)


def _in_users_order(layout, vector):
    """Return the numbers of a parameter vector one after the other, in the order of `Learned`, without padding."""
    return np.concatenate([array.ravel() for array in chain(*layout.unpack(vector))])


def _from_users_order(layout, numbers):
    """Return the parameter vector with these numbers; raise a ValueError if there are too few or too many."""
    learned = layout.unpack(np.zeros(layout.size, np.float32))
    arrays = list(chain(*learned))
    _require(len(numbers) == sum(array.size for array in arrays), "parameters")
    for array, part in zip(arrays, np.split(numbers, np.cumsum([array.size for array in arrays])[:-1]), strict=True):
        array[...] = part.reshape(array.shape)
    return layout.pack(learned)


def _reason(error):
    """Return what an error says, without the name of a file that the user has not given."""
    return getattr(error, "strerror", None) or error


def write_checkpoint(target, checkpoint):
    """Replace a file by a checkpoint. Whenever the process is killed, the file has its old content or the new one.

    Parameters
    ----------
    target : Path
        The file, as `find_target` returns it.
    checkpoint : Checkpoint
        The new content.

    Raises
    ------
    OSError
        If it cannot be written. The file is as it was.
    OccupiedError
        If the file is not a checkpoint of the same fit.
    """
    header = {"format": _FORMAT} | {name: getattr(checkpoint, name) for name in (*_NUMBERS, *_CURVES, _RATES)}
    header = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with replacing(target, check=lambda: _check_own(target, checkpoint)) as file:
        np.savez(file, allow_pickle=False, header=header, **{name: getattr(checkpoint, name) for name in _ARRAYS})


def _check_own(target, checkpoint):
    """Raise an OccupiedError if another fit, or something else, has written the file since this fit began."""
    try:
        with target.open("rb") as file, zipfile.ZipFile(file) as archive:
            header = _read_header(archive)
        is_same = header["seed"] == checkpoint.seed and header["fit"] == _through_json(checkpoint.fit)
    except FileNotFoundError:
        return
    except Exception as error:  # as in read_checkpoint
        raise OccupiedError("something else has been put there since the fit began") from error
    if not is_same:
        raise OccupiedError(f"another fit has written its own there since this one began. {MANY_FITS}")


def read_checkpoint(path):
    """Read a checkpoint.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    Checkpoint or None
        None if there is no such file.

    Raises
    ------
    ValueError
        If the file is damaged, is not a checkpoint, or cannot be read.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(
            f"checkpoint={str(path)!r} cannot be read: {error.strerror}. Make it readable, or give another path."
        ) from error
    try:
        with file, zipfile.ZipFile(file) as archive:
            header = _read_header(archive)
            if header["format"] == _FORMAT:
                numbers = {name: header[name] for name in (*_NUMBERS, *_CURVES)} | {_RATES: header.get(_RATES, [])}
                return Checkpoint(**numbers, **{name: _read_array(archive, name) for name in _ARRAYS})
    except Exception as error:  # the type depends on where the file is damaged
        raise _damaged(path) from error
    raise ValueError(
        f"checkpoint={str(path)!r} has the format {header['format']!r}, and this version of skconvnet reads "
        f"{_FORMAT!r}. It was left as it is. Use the version that wrote it, or give another path."
    )


def _damaged(path):
    """Return the error for a file that is damaged or is not a checkpoint."""
    return ValueError(
        f"checkpoint={str(path)!r} is damaged, or is not a checkpoint. It was left as it is. Delete or move it to "
        "start again, or give another path."
    )


def _read_header(archive):
    """Read the header of an archive."""
    return json.loads(_read_array(archive, "header").tobytes())


def _read_array(archive, name):
    """Read an array of an archive and compare its checksum. It takes no more memory than the file has bytes."""
    member = archive.getinfo(f"{name}.npy")
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    with archive.open(member) as file:
        np.lib.format.read_magic(file)
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
        return np.frombuffer(file.read(), dtype).reshape(shape, order="F" if fortran_order else "C")


def _check_same_fit(path, saved, fit):
    """Raise a ValueError that names the differences if two identities of fits differ."""
    fit = _through_json(fit)
    added = {name: value for name, value in _ADDED.items() if name not in saved and fit.get(name) is not None}
    saved = saved | added
    differences = [_difference(name, saved.get(name), fit.get(name)) for name in fit | saved]
    differences = [difference for difference in differences if difference]
    if differences:
        raise ValueError(
            f"checkpoint={str(path)!r} belongs to another fit: {'; '.join(differences)}. It was left as it is. Use the "
            f"parameters and the data of that fit, delete or move the file, or give another path. {MANY_FITS}."
        )


def _through_json(value):
    """Return the value after a JSON round trip."""
    return json.loads(json.dumps(value))


def _difference(name, saved, current):
    """Describe how a part of two identities differs; return an empty text if it does not."""
    if saved == current:
        return ""
    if name == SEEDS:
        return f"{name} differ (a RandomState instance gives another seed to every fit: use an int, or a new instance)"
    if name.startswith("the "):  # a digest
        return f"{name} differ"
    return f"{name} is {saved!r} in the file and {current!r} now"


def digest(*parts):
    """Compute a digest of arrays and texts. It takes as long as reading them. Arrays are not copied.

    Parameters
    ----------
    *parts : ndarray, PixelSource or str
        Of an array or a source, the dtype and the values in C order count, and not the shape or the memory layout.

    Returns
    -------
    str

    Examples
    --------
    >>> X = np.arange(6).reshape(2, 3)
    >>> digest(X) == digest(np.asfortranarray(X)) != digest(X.astype(float))
    True
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, str):
            digest.update(part.encode())
            continue
        digest.update(f"{part.dtype.str} {part.size} ".encode())
        size = max(1, _BLOCK_BYTES // max(1, part.dtype.itemsize * prod(part.shape[1:])))
        for first in range(0, len(part), size):
            which = slice(first, first + size)
            block = part.read(np.arange(len(part))[which]) if isinstance(part, PixelSource) else part[which]
            digest.update(np.ascontiguousarray(block))
    return digest.hexdigest()
