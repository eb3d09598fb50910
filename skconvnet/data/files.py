"""Find and read the files below a directory or in a zip archive."""

import os
import stat
import zipfile
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import NamedTuple

__all__ = ["Files", "open_files", "read_file"]

_MAX_BYTES = 2**29  # of a file: an image within Pillow's limit of pixels needs less


class Files(NamedTuple):
    """The visible files below a directory or in an archive. A name is a tuple of parts, relative to it.

    Parameters
    ----------
    names : list of tuple of str
        The files.
    folders : list of tuple of str
        The directories. Those of an archive that has no entry for them are missing.
    skipped : list of str
        Links to directories that have another name in the same place. Each directory is read once.
    read : callable
        Returns the bytes of the file with this name, in any thread. Raises a ValueError if it is too large or not a
        regular file.
    """

    names: list
    folders: list
    skipped: list
    read: Callable


@contextmanager
def open_files(path, max_bytes=_MAX_BYTES):
    """Open a directory or a zip archive. An archive is read in place; nothing is extracted to disk.

    Parameters
    ----------
    path : path-like
        The directory or the archive.
    max_bytes : int, optional
        Larger files are not read.

    Yields
    ------
    Files
        What is there.

    Raises
    ------
    FileNotFoundError
        If nothing is at `path`.
    ValueError
        If `path` is something else, or a name in the archive leads out of it.
    """
    path = Path(path)
    if path.is_dir():
        names, folders, links = _walk(path)
        skipped = ["/".join(link) for link in links]
        yield Files(names, folders, skipped, partial(_read_below, path, max_bytes))
        return
    if not path.exists():
        raise FileNotFoundError(f"{str(path)!r} does not exist. Pass a directory or a zip archive.")
    try:
        if not path.is_file():  # opening a FIFO would wait for a writer
            raise zipfile.BadZipFile("it is not a regular file")
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{str(path)!r} is neither a directory nor a zip archive: {error}.") from error
    with archive:
        parts = [(_parts(path, entry.filename), entry) for entry in archive.infolist()]
        visible = [(name, entry) for name, entry in parts if not any(map(_is_hidden, name))]
        entries = {name: entry for name, entry in visible if not _is_directory(entry)}
        folders = [name for name, entry in visible if name and _is_directory(entry)]
        one_at_a_time = Lock()  # an archive counts its readers without a lock of its own

        def read(name):
            with one_at_a_time:
                return _unpack(archive, entries[name], max_bytes)

        yield Files(list(entries), folders, [], read)


def _walk(root):
    """Return the visible files and folders below a directory, and the links to directories that were skipped.

    Each is the tuple of the parts of its name below the directory. Links are followed after all directories that are
    not links, so that a directory keeps the name of its own place.
    """
    files, visited, links, skipped, seen = [], [], [root], [], set()
    while links:
        link = links.pop(0)
        if os.path.realpath(link) in seen:
            skipped.append(link.relative_to(root).parts)
            continue
        for name, folders, names in os.walk(link):
            folder, real = Path(name), os.path.realpath(name)
            parts = folder.relative_to(root).parts
            folders[:] = () if real in seen else sorted(part for part in folders if not _is_hidden(part))
            if real not in seen:
                seen.add(real)
                files += [(*parts, part) for part in names if not _is_hidden(part)]  # no Path of each: a million files
                visited.append(parts)
                links += [folder / part for part in folders if (folder / part).is_symlink()]
    return files, visited[1:], skipped


def _is_hidden(part):
    """Return whether a part of a name hides what is below it."""
    return part.startswith(".") or part == "__MACOSX"


def read_file(file, max_bytes=_MAX_BYTES):
    """Return the bytes of a file on disk, or of the file to which a link leads.

    Parameters
    ----------
    file : Path
        The file or link.
    max_bytes : int, optional
        A larger file is not read.

    Returns
    -------
    bytes
        The content.

    Raises
    ------
    ValueError
        If it is too large or not a regular file.
    OSError
        If it does not exist or may not be read.
    """
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):  # a FIFO would wait for a writer, and some devices never end
        raise ValueError("it is not a regular file")
    if status.st_size > max_bytes:
        raise ValueError(f"it has {status.st_size:,} bytes")
    return file.read_bytes()


def _read_below(path, max_bytes, name):
    """Return the bytes of a file below a directory."""
    return read_file(path.joinpath(*name), max_bytes)


def _is_directory(entry):
    """Return whether an entry of an archive is a directory. Some programs write names with backslashes."""
    return entry.filename.strip("./\\") == "" or entry.filename.endswith(("/", "\\"))


def _parts(path, filename):
    """Return the parts of a name in an archive. Some programs write backslashes, or a slash in front."""
    parts = PurePosixPath(filename.replace("\\", "/").lstrip("/")).parts
    if ".." in parts:
        raise ValueError(f"{filename!r} in {str(path)!r} leads out of the archive. Pack the folder again.")
    return parts


def _unpack(archive, entry, max_bytes):
    """Return the bytes of a file in an archive."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if entry.create_system == 3 and kind not in (0, stat.S_IFREG):  # 3: the attributes are those of Unix
        raise ValueError("it is not a regular file, and links in an archive are not followed")
    if entry.file_size > max_bytes:
        raise ValueError(f"it unpacks to {entry.file_size:,} bytes")
    return archive.read(entry)
