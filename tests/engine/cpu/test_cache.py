"""The cache: a file holds what was written under its own name, and a claim has one owner."""

import subprocess
import sys

import pytest

from skconvnet.engine.cpu.cache import CachedFile, claimed


def test_what_was_written_is_read(tmp_path):
    file = CachedFile(tmp_path / "new" / "folder", "convolution", ("a processor", 1))
    with pytest.raises(FileNotFoundError):
        file.read()
    for content in (b"machine code", b"", b"other code"):
        file.write(content)
        assert CachedFile(tmp_path / "new" / "folder", "convolution", ("a processor", 1)).read() == content
    assert list(file.path.parent.iterdir()) == [file.path]


def test_files_that_depend_on_something_else_lie_side_by_side(tmp_path):
    files = [CachedFile(tmp_path, "loss", depends_on) for depends_on in (("a", "b"), ("ab",), ("a", ("b",)), ())]
    assert len({file.path for file in files}) == 4
    files[0].write(b"code")
    files[0].path.rename(files[1].path)
    with pytest.raises(ValueError, match="checksum"):
        files[1].read()


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    file = CachedFile(tmp_path, "loss", ())
    file.path.mkdir()
    with pytest.raises(OSError, match="loss"):
        file.write(b"code")
    assert list(tmp_path.iterdir()) == [file.path]


def test_a_claim_has_one_owner(tmp_path):
    path = tmp_path / "cpu" / "loss.bin"
    with claimed(path) as first, claimed(path) as second, claimed(tmp_path / "other") as other:
        assert (first, second, other) == (True, False, True)
        with claimed(path) as third:
            assert not third
    with claimed(path) as later:
        assert later


CLAIM = """
import sys
from pathlib import Path
from skconvnet.engine.cpu.cache import claimed

with claimed(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    sys.stdin.read()
"""


def test_a_process_that_is_killed_loses_its_claims(tmp_path):
    path = tmp_path / "loss.bin"
    command = [sys.executable, "-c", CLAIM, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "True\n"
        with claimed(path) as mine:
            assert not mine
        process.kill()
    with claimed(path) as mine:
        assert mine


def test_where_nothing_can_be_written_every_claim_succeeds(tmp_path):
    tmp_path.joinpath("file").touch()
    path = tmp_path / "file" / "loss.bin"
    with claimed(path) as first, claimed(path) as second:
        assert first
        assert second
