"""The cache of compiled entries: one file for each, in one directory for all environments and copies of the package.

Everything that the code in a file depends on is in its name, as a digest, so that the files of several versions and
processors lie side by side, and nobody has to look into a file to know whether it can be used.
"""

import sys
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["CachedFile", "claimed"]


class CachedFile:
    """A file of the cache.

    Parameters
    ----------
    folder : Path
        The directory of the cache.
    name : str
        What the content is, for people.
    depends_on : tuple
        Everything that the content depends on, as values whose repr tells them apart.
    """

    def __init__(self, folder, name, depends_on):
        self._key = sha256(repr((name, *depends_on)).encode()).hexdigest()
        self.path = Path(folder, f"{name}-{self._key[:16]}.bin")

    def read(self):
        """Return the content.

        Returns
        -------
        bytes

        Raises
        ------
        FileNotFoundError
            If there is no file.
        ValueError
            If the file was damaged, or was written as another file.
        """
        data = self.path.read_bytes()
        checksum, content = data[:32], data[32:]
        if checksum != self._checksum(content):
            raise ValueError("wrong checksum")
        return content

    def write(self, content):
        """Write the content, so that other processes see either all of it or nothing.

        Parameters
        ----------
        content : bytes
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(f"{self.path}.{uuid4().hex}")
        try:
            unfinished.write_bytes(self._checksum(content) + content)
            unfinished.replace(self.path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise

    def _checksum(self, content):
        return sha256(self._key.encode() + content).digest()


@contextmanager
def claimed(path):
    """Claim a path for this process, and yield whether no other process had claimed it.

    A process that ends, however it ends, loses its claims. Where files cannot be written or locked, every claim
    succeeds, so two processes may do the same work.

    Parameters
    ----------
    path : Path
        What is claimed. The claim is a file beside it.
    """
    claim = Path(f"{path}.claim")
    try:
        claim.parent.mkdir(parents=True, exist_ok=True)
        file = claim.open("ab")
    except OSError:
        yield True
        return
    with file:
        mine = _lock(file)
        try:
            yield mine
        finally:
            if mine:
                with suppress(OSError):  # Windows does not remove open files
                    claim.unlink()


def _lock(file):
    """Lock an open file until it is closed; return whether that succeeded."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without locks
        return True
    return True
