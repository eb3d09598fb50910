"""The state of a fit in a file: written after every epoch, read by the same fit when it is started again.

The file is NumPy's .npz, read without pickle: the arrays as the training has them, and a header of JSON with all that
is no array. JSON keeps every bit of a float.
"""

import hashlib
import json
import os
import re
import secrets
import stat
import warnings
import zipfile
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

_FORMAT = "skconvnet checkpoint 1"
_BESIDE = ".skconvnet-part"  # ends the name of a file that has not taken its place
_BLOCK_BYTES = 2**24  # images are digested in blocks of this size, so that a memory map stays on the disk
_MANY_FITS = "A cross-validation or a search fits many networks, and needs checkpoint=None"
SEEDS = "the seeds of random_state"
_OF_HISTORY = ("loss_curve", "accuracy_curve", "validation_scores", "n_images", "n_epochs", "n_steps", "n_plateaus")
_OF_PLATEAU = ("best", "count")


@dataclass(frozen=True)
class Checkpoint:
    """The state of a fit after an epoch: all that the rest of it depends on, beside its parameters and its data.

    Parameters
    ----------
    fit : dict of str to JSON values
        What is fitted to what; the name of each is how an error calls it. The same fit has the same.
    seed : int
        Decides the order of the images, what is set aside for validation, and what DROPOUT and augmentation draw.
    history : dict of str to numbers and lists of them
        The attributes of `History` that last, by their names, and `best` and `count` of its `Plateau`.
    n_steps, n_drawn : int
        The steps of the optimizer, and of the draws.
    parameters : ndarray of float32, (n,)
        The network's, in the plan's order, what pads them included.
    moments : ndarray of float32, (2, n)
        The optimizer's.
    best : ndarray of float32, (n,), or (0,) where none are wanted
        The parameters with the best validation score.
    """

    fit: dict
    seed: int
    history: dict
    n_steps: int
    n_drawn: int
    parameters: np.ndarray
    moments: np.ndarray
    best: np.ndarray


_ARRAYS = ("parameters", "moments", "best")
_NUMBERS = tuple(field.name for field in fields(Checkpoint) if field.name not in _ARRAYS)


class CheckpointFile:
    """The file of one fit, from its first look at it to its last epoch.

    Parameters
    ----------
    path : str or os.PathLike
        Where the file is, or shall be.

    Attributes
    ----------
    saved : Checkpoint or None
        What the file had at first; None if there was none.

    Raises
    ------
    ValueError
        If no file can be written there, or what there is is damaged or something else.
    """

    def __init__(self, path):
        self.path = Path(os.fsdecode(path))
        self._place = find_place(self.path)
        self.saved = read_checkpoint(self.path)
        self._fit = None

    def claim(self, fit):
        """Say what is fitted to what, as `Checkpoint.fit`; a ValueError if the file is of another fit."""
        if self.saved is not None:
            check_same_fit(self.path, self.saved, fit)
        self._fit = fit
        _remove_leftovers(self._place)

    def restore(self, trainer, history):
        """Put a trainer and a new history where they were after the last epoch; return the best parameters or None."""
        saved = self.saved
        if saved.parameters.shape != trainer.network.parameters.shape:
            raise _damaged(self.path)
        trainer.network.parameters[:] = saved.parameters
        trainer.state.moments[:] = saved.moments
        trainer.state.n_steps, trainer.n_drawn = saved.n_steps, saved.n_drawn
        trainer.refresh()
        for name in _OF_HISTORY:
            setattr(history, name, saved.history[name])
        for name in _OF_PLATEAU:
            setattr(history.plateau, name, saved.history[name])
        return saved.best if len(saved.best) else None

    def write(self, trainer, early_stopping, history, best):
        """Write down where a trainer is after an epoch. What hinders it, as a full disk, warns: the fit goes on."""
        checkpoint = Checkpoint(
            fit=self._fit,
            seed=trainer.seed,
            history={name: getattr(history, name) for name in _OF_HISTORY}
            | {name: getattr(history.plateau, name) for name in _OF_PLATEAU},
            n_steps=trainer.state.n_steps,
            n_drawn=trainer.n_drawn,
            parameters=trainer.network.parameters,
            moments=trainer.state.moments,
            best=best if early_stopping else best[:0],
        )
        try:
            write_checkpoint(Path(os.path.realpath(self._place)), checkpoint)  # by now it may be a link
        except (OSError, OccupiedError) as error:
            warnings.warn(
                f"checkpoint={str(self.path)!r} was not written after epoch {history.n_epochs}, and is as it was "
                f"before: {_reason(error)}. The fit goes on.",
                stacklevel=2,
            )


def find_place(path):
    """Return the file that a path leads to. That is replaced, and a link to it stays.

    Parameters
    ----------
    path : Path
        Where the checkpoint is, or shall be.

    Returns
    -------
    Path
        From the root and without links, so that it means the same in another working directory.

    Raises
    ------
    ValueError
        If no checkpoint can be written there.
    """
    try:
        place = Path(os.path.realpath(path))
        mode = _mode(place)
        if mode is not None and not stat.S_ISREG(mode):
            raise OSError("it is a directory or a device")
        if mode is not None and not os.access(place, os.W_OK):
            raise OSError("the file is write-protected")
        beside = _beside(place)
        beside.open("xb").close()
        beside.unlink()
    except (OSError, ValueError) as error:  # a ValueError is of characters that no path has
        home = " ~ is not expanded: os.path.expanduser does it." if str(path).startswith("~") else ""
        raise ValueError(
            f"checkpoint={str(path)!r} cannot be written: {_reason(error)}. Give the path of a file in a directory "
            f"that exists and is writable.{home}"
        ) from error
    return place


def _reason(error):
    """Return what an error says, without the name of a file that the user has not given."""
    return getattr(error, "strerror", None) or error


def _mode(place):
    """Return the mode of a file, None if there is no file."""
    try:
        return place.stat().st_mode
    except FileNotFoundError:
        return None


def _beside(place):
    """Return a new name for a checkpoint that has not taken its place: hidden, and nobody else's."""
    return place.with_name(f".{place.name}.{secrets.token_hex(8)}{_BESIDE}")


def _remove_leftovers(place):
    """Remove what kills left beside a checkpoint while it was written; also that of a fit that is writing just now."""
    ours = re.compile(rf"\.{re.escape(place.name)}\.[0-9a-f]{{16}}{re.escape(_BESIDE)}")
    with suppress(OSError), os.scandir(place.parent) as entries:
        for entry in entries:
            if ours.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                os.unlink(entry)


class OccupiedError(Exception):
    """Where a checkpoint was to be written, there is by now what is not its own."""


def write_checkpoint(place, checkpoint):
    """Write a checkpoint. Whenever the process is killed, the file has the checkpoint of before, or this one.

    Parameters
    ----------
    place : Path
        The file, as `find_place` returns it. A file that is there keeps its mode.
    checkpoint : Checkpoint
        What it shall have.

    Raises
    ------
    OSError
        If it cannot be written; the file is as it was.
    OccupiedError
        If the file is not a checkpoint of the same fit.
    """
    header = {"format": _FORMAT} | {name: getattr(checkpoint, name) for name in _NUMBERS}
    arrays = {name: getattr(checkpoint, name) for name in _ARRAYS}
    beside = _beside(place)
    file = beside.open("xb")
    try:
        with file:
            _take_mode(file, place)
            np.savez(file, allow_pickle=False, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)
            file.flush()
            os.fsync(file.fileno())
        _check_own(place, checkpoint)
        os.replace(beside, place)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
    _sync_directory(place.parent)


def _check_own(place, checkpoint):
    """Raise an OccupiedError if there is a file that is not of this fit, as where two began before there was one."""
    try:
        with place.open("rb") as file, zipfile.ZipFile(file) as archive:
            header = _read_header(archive)
        same = header["seed"] == checkpoint.seed and header["fit"] == _as_read(checkpoint.fit)
    except FileNotFoundError:
        return
    except Exception as error:  # as in read_checkpoint
        raise OccupiedError("something else has been put there since the fit began") from error
    if not same:
        raise OccupiedError(f"another fit has written its own there since this one began. {_MANY_FITS}")


def _take_mode(file, place):
    """Give a new file the mode of the file that it will replace. Some file systems have one mode for all."""
    mode = _mode(place)
    if mode is not None and stat.S_IMODE(mode) != stat.S_IMODE(os.fstat(file.fileno()).st_mode):
        os.chmod(file.name, stat.S_IMODE(mode))


def _sync_directory(directory):
    """Bring the names in a directory to its disk, where the system can; else a power cut may undo the last write."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_checkpoint(path):
    """Read a checkpoint.

    Parameters
    ----------
    path : Path
        The file. It is not changed.

    Returns
    -------
    Checkpoint or None
        None if there is no such file.

    Raises
    ------
    ValueError
        If the file is damaged, or something else, or cannot be read.
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
                return _checkpoint(header, {name: _read_array(archive, name) for name in _ARRAYS})
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        raise _damaged(path) from error
    raise ValueError(
        f"checkpoint={str(path)!r} has the format {header['format']!r}, and this version of skconvnet reads "
        f"{_FORMAT!r}. It was left as it is. Go on with the version that wrote it, or give another path."
    )


def _damaged(path):
    """Return the error that a file is no checkpoint, whatever shows it."""
    return ValueError(
        f"checkpoint={str(path)!r} is damaged, or is no checkpoint. It was left as it is. Delete or move it to begin "
        "anew, or give another path."
    )


def _read_header(archive):
    """Read the header of an archive."""
    return json.loads(_read_array(archive, "header").tobytes())


def _read_array(archive, name):
    """Read an array of an archive; its checksum is compared. Whatever its head says, it is as large as its bytes."""
    member = archive.getinfo(f"{name}.npy")
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    with archive.open(member) as file:
        np.lib.format.read_magic(file)
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
        return np.frombuffer(file.read(), dtype).reshape(shape, order="F" if fortran_order else "C")


def _checkpoint(header, arrays):
    """Put header and arrays together; raise whatever it may be if they do not fit."""
    checkpoint = Checkpoint(**{name: header[name] for name in _NUMBERS}, **arrays)
    for field in fields(Checkpoint):
        if not isinstance(getattr(checkpoint, field.name), field.type):
            raise ValueError(f"{field.name} is no {field.type.__name__}")
    size = len(arrays["parameters"])
    shapes = {"parameters": [(size,)], "moments": [(2, size)], "best": [(size,), (0,)]}
    for name, array in arrays.items():
        if array.dtype != np.float32 or array.shape not in shapes[name]:
            raise ValueError(f"{name} has dtype {array.dtype} and shape {array.shape}")
    missing = {*_OF_HISTORY, *_OF_PLATEAU} - set(header["history"])
    if missing:
        raise ValueError(f"its history has no {missing.pop()}")
    return checkpoint


def check_same_fit(path, checkpoint, fit):
    """Raise a ValueError that says what differs if a checkpoint is of another fit.

    Parameters
    ----------
    path : Path
        Of the checkpoint.
    checkpoint : Checkpoint
        What was read there.
    fit : dict of str to JSON values
        What is to be fitted to what.
    """
    there, here = checkpoint.fit, _as_read(fit)
    differences = [_difference(name, there.get(name), here.get(name)) for name in here | there]
    differences = [difference for difference in differences if difference]
    if differences:
        raise ValueError(
            f"checkpoint={str(path)!r} is of another fit: {'; '.join(differences)}. It was left as it is. Go on with "
            f"the parameters and the data that it is of, or delete or move it, or give another path. {_MANY_FITS}."
        )


def _as_read(fit):
    """Return what is read where this is written."""
    return json.loads(json.dumps(fit))


def _difference(name, there, here):
    """Say how the value of this name differs; nothing if it does not."""
    if there == here:
        return ""
    if name == SEEDS:
        return f"{name} differ (a RandomState instance moves on with every fit: give an int, or one that is made anew)"
    if name.startswith("the "):  # what a digest stands for
        return f"{name} differ"
    return f"{name} is {there!r} there and {here!r} here"


def digest(*parts):
    """Return a digest of arrays and texts, which costs as much as reading them. Arrays are not copied.

    Parameters
    ----------
    *parts : ndarray or str
        An array counts by its dtype and its values in C order, whatever its shape and layout.

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
        size = max(1, _BLOCK_BYTES // max(1, part[:1].nbytes))
        for first in range(0, len(part), size):
            digest.update(np.ascontiguousarray(part[first : first + size]))
    return digest.hexdigest()
