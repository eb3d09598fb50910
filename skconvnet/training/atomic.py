"""A file that is replaced as a whole: whenever the process is killed, it has its old content or its new one."""

import os
import re
import secrets
import stat
from contextlib import contextmanager, suppress
from pathlib import Path

_PART = ".skconvnet-part"  # the end of the name of a file that is still being written


def find_target(path):
    """Return the file that a path leads to, and check that it can be replaced. Links are followed and stay.

    Parameters
    ----------
    path : Path
        Any path.

    Returns
    -------
    Path
        Absolute and without links, so that it means the same in another working directory.

    Raises
    ------
    OSError, ValueError
        If no file can be written there. A ValueError is about characters that no path has.
    """
    target = Path(os.path.realpath(path))
    mode = _mode(target)
    if mode is not None and not stat.S_ISREG(mode):
        raise OSError("it is a directory or a device")
    if mode is not None and not os.access(target, os.W_OK):
        raise OSError("the file is write-protected")
    part = _part_of(target)
    part.open("xb").close()
    part.unlink()
    return target


@contextmanager
def replacing(target, check):
    """Write a new file beside `target`, which then takes its place.

    The new file is on the disk before it takes its place, and the directory after. If the block raises, the old file
    stays. The mode of an old file is kept.

    Parameters
    ----------
    target : Path
        The file to replace; see `find_target`.
    check : callable
        Called just before the file is replaced. If it raises, the old file stays.

    Yields
    ------
    binary file
        The new file, open for writing.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    part = _part_of(target)
    file = part.open("xb")
    try:
        with file:
            _take_mode(file, target)
            yield file
            file.flush()
            os.fsync(file.fileno())
        check()
        os.replace(part, target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    _sync_directory(target.parent)


def write_file(path, content):
    """Write a file that a user names, as a whole. An existing file is replaced.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    content : bytes
        All of it.

    Raises
    ------
    ValueError
        If it cannot be written.
    """
    try:
        with replacing(find_target(Path(path)), check=lambda: None) as file:
            file.write(content)
    except OSError as error:
        raise ValueError(
            f"{os.fspath(path)!r} cannot be written: {error.strerror or error}. Give the path of a file in a directory "
            "that exists and is writable."
        ) from error


def check_suffix(path, suffix):
    """Raise a ValueError if the name of a file to write does not end as its format demands.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    suffix : str
        The end, such as ".onnx".

    Examples
    --------
    >>> check_suffix("network.jpg", ".onnx")
    Traceback (most recent call last):
    ...
    ValueError: the name 'network.jpg' does not end in .onnx, the format of this file. Pass 'network.onnx'.
    """
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"path={path!r:.80} is not the path of a file. Give a text or a Path.")
    file = Path(os.fspath(path))
    if file.suffix != suffix:
        raise ValueError(
            f"the name {file.name!r} does not end in {suffix}, the format of this file. Pass "
            f"{str(file.with_suffix(suffix)) if file.name else 'network' + suffix!r}."
        )


def remove_parts(target):
    """Remove unfinished files that killed processes left beside `target`. One that is being written goes as well."""
    ours = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{16}}{re.escape(_PART)}")
    with suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            if ours.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                os.unlink(entry)


def _part_of(target):
    """Return a new, hidden name in the directory of `target`."""
    return target.with_name(f".{target.name}.{secrets.token_hex(8)}{_PART}")


def _mode(path):
    """Return the mode of a file, None if there is no file."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _take_mode(file, target):
    """Give a new file the mode of the file that it will replace. Some file systems have one mode for all files."""
    mode = _mode(target)
    if mode is not None and stat.S_IMODE(mode) != stat.S_IMODE(os.fstat(file.fileno()).st_mode):
        os.chmod(file.name, stat.S_IMODE(mode))


def _sync_directory(directory):
    """Write the names in a directory to the disk, where the system can; else a power cut may undo the replacement."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
