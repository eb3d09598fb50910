"""Entries: compiled once, cached under the stamp of all their sources, and compiled again where a file is damaged."""

import ast
import errno
import pickle
import re
import shutil
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from types import FunctionType

import numpy as np
import pytest
from numba import prange
from numba.core import event

import skconvnet.engine
from skconvnet.engine.cpu.cache import CachedFile, claimed
from skconvnet.engine.cpu.compile import (
    Entry,
    _file_of,
    _warn_once,
    compile_unclaimed,
    entries,
    entry,
    kernel,
    stamp_of,
)
from skconvnet.engine.cpu.llvm.pointers import array_at
from skconvnet.engine.cpu.llvm.simd import poke

ENGINE = Path(skconvnet.engine.__file__).parent


def double(at):
    """Double eight numbers."""
    numbers = array_at(at, (8,), np.int64)
    for index in range(8):
        numbers[index] *= 2


def fill(at, number):
    """Write a float32 number eight times, in parallel."""
    for index in prange(8):
        poke(at + 4 * index, np.float32(number))


@kernel
def one_more(number):
    return number + 1


def count(at):
    """Add one to eight numbers."""
    numbers = array_at(at, (8,), np.int64)
    for index in range(8):
        numbers[index] = one_more(numbers[index])


def copy_of(function):
    """A function that no entry has been made of."""
    return FunctionType(function.__code__, function.__globals__)


def doubled(made):
    """What an entry makes of the numbers from 0 to 7."""
    numbers = np.arange(8)
    made.ctypes(numbers.ctypes.data)
    return numbers.tolist()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, in which no test before has warned."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    _warn_once.cache_clear()
    return tmp_path


@pytest.fixture
def compilations():
    """What Numba compiles from here on."""
    listener = event.RecordingListener()
    with event.install_listener("numba:run_pass", listener):
        yield listener.buffer


# -- Entries -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("cache")
def test_an_entry_is_a_c_function():
    assert doubled(Entry(double)) == [*range(0, 16, 2)]
    numbers = np.zeros(8, np.float32)
    Entry(fill).ctypes(numbers.ctypes.data, 7)
    assert numbers.tolist() == [7] * 8


@pytest.mark.usefixtures("cache")
def test_a_kernel_has_no_machine_code_of_its_own():
    """Numba optimises what it emits, so a kernel with machine code of its own takes twice as long to compile."""
    assert doubled(Entry(count)) == [*range(1, 9)]
    (compiled,) = one_more.overloads.values()
    assert compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name) == 0


@pytest.mark.usefixtures("cache")
def test_threads_that_want_an_entry_at_once_compile_it_once(compilations):
    Entry(double)
    once = len(compilations)
    assert once > 0
    compilations.clear()
    function = copy_of(double)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: entry(function), range(8)))
    assert len(set(map(id, made))) == 1
    assert len(compilations) <= once


def entries_of_copies():
    """The entries of two functions that no entry has been made of."""
    return entries([copy_of(double), copy_of(fill)])


def test_what_is_compiled_is_told_once(cache, caplog):
    entries_of_copies()
    (record,) = caplog.records
    assert re.fullmatch(
        rf"Compiling the kernels double, fill for this processor, .* They are kept in {re.escape(str(cache))}.* once\.",
        record.getMessage(),
    )
    caplog.clear()
    assert [made.cache_hits for made in entries_of_copies()] == [1, 1]
    assert caplog.records == []


def test_where_kernels_cannot_be_kept_nobody_says_that_they_are(cache, caplog, monkeypatch):
    cache.joinpath("file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(cache / "file"))
    with pytest.warns(UserWarning, match="cannot be cached"):
        entries_of_copies()
    assert "once" not in caplog.text


def test_a_helper_compiles_what_nobody_else_does(cache, monkeypatch):
    monkeypatch.setattr(sys.modules[double.__module__], "unlike", copy_of(fill), raising=False)
    with claimed(_file_of(double).path):
        compile_unclaimed([(double.__module__, "double"), (double.__module__, "unlike")])
    assert [_file_of(function).path.exists() for function in (double, fill)] == [False, True]


# -- The cache ---------------------------------------------------------------------------------------------------------


def test_an_entry_is_loaded_only_under_its_stamp(cache):
    hits = [Entry(double, stamp).cache_hits for stamp in ("first", "second", "first", "second", "third")]
    assert hits == [0, 0, 1, 1, 0]
    assert Entry(double).cache_path == cache / "cpu"


def test_functions_do_not_share_a_cached_entry(cache):
    assert [Entry(fill).cache_hits, Entry(double).cache_hits, Entry(fill).cache_hits] == [0, 0, 1]
    assert doubled(Entry(double)) == [*range(0, 16, 2)]


def kernel_sources():
    """All sources of the package that are compiled: those that the machine imports, directly or not."""
    found, waiting = set(), [ENGINE / "cpu" / "machine.py"]
    while waiting:
        source = waiting.pop()
        found.add(source)
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("skconvnet.engine."):
                imported = ENGINE.parents[1].joinpath(*node.module.split(".")).with_suffix(".py")
                if imported not in found:
                    waiting.append(imported)
    return sorted(found)


@pytest.mark.parametrize("source", kernel_sources(), ids=lambda source: source.name)
def test_the_stamp_changes_with_every_source(source, tmp_path):
    copy = tmp_path / "engine"
    shutil.copytree(ENGINE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    before = stamp_of(copy)
    assert before == stamp_of(copy)
    with (copy / source.relative_to(ENGINE)).open("a") as changed:
        changed.write("\n")
    assert stamp_of(copy) != before


# -- Damage ------------------------------------------------------------------------------------------------------------


def cached_file(cache):
    (found,) = cache.rglob("*.bin")
    return found


def flip(content, at):
    return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


DAMAGES = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "flipped": lambda content: flip(content, len(content) - 1),
    "of something else": lambda content: b"#!/bin/sh" * 1000,
    "of a damaged pickle": lambda content: signed(content[32:-9]),
    "of machine code that is none": lambda content: signed(pickle.dumps(("library", "object", (b"ELF", b"BC")))),
}


def signed(content):
    """A file with a right checksum, whatever is in it."""
    return sha256(cached_key(double) + content).digest() + content


def cached_key(function):
    return _file_of(function)._key.encode()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_replaced_with_one_warning(cache, damage):
    Entry(double)
    file = cached_file(cache)
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    with pytest.warns(UserWarning, match=r"cpu.double-\w+\.bin is damaged .*: compiling it again") as warned:
        made = Entry(double)
    assert len(warned) == 1
    assert (made.cache_hits, doubled(made)) == (0, [*range(0, 16, 2)])
    with warnings.catch_warnings(action="error"):
        assert Entry(double).cache_hits == 1


def test_a_file_of_another_version_is_not_loaded_by_the_name_of_this_one(cache):
    Entry(double, "another stamp")
    other = cached_file(cache)
    Entry(double)
    (own,) = set(cache.rglob("*.bin")) - {other}
    shutil.copy(other, own)
    with pytest.warns(UserWarning, match="is damaged"):
        assert Entry(double).cache_hits == 0


def test_no_flipped_byte_is_executed(cache):
    """Most of a file is machine code, which no other check would notice."""
    Entry(double)
    file = cached_file(cache)
    content = file.read_bytes()
    for at in np.linspace(0, len(content) - 1, 40).astype(int):
        file.write_bytes(flip(content, at))
        with pytest.warns(UserWarning, match="is damaged"):
            made = Entry(double)
        assert (made.cache_hits, doubled(made)) == (0, [*range(0, 16, 2)])


def test_on_a_full_disk_there_is_one_warning_and_kernels_all_the_same(cache, monkeypatch):
    def write(*_):
        raise OSError(errno.ENOSPC, f"No space left on device {cache}")

    monkeypatch.setattr(CachedFile, "write", write)
    with pytest.warns(
        UserWarning, match="No space left on device.*Set NUMBA_CACHE_DIR to.*writable by you alone"
    ) as warned:
        made = [Entry(double) for _ in range(2)]
    assert len(warned) == 1
    assert [doubled(each) for each in made] == [[*range(0, 16, 2)]] * 2
    assert made[0].cache_path is None


def test_without_a_writable_directory_entries_are_compiled_with_a_warning(cache, monkeypatch):
    cache.joinpath("file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(cache / "file"))
    with pytest.warns(UserWarning, match="Set NUMBA_CACHE_DIR") as warned:
        made = [Entry(double) for _ in range(2)]
    assert len(warned) == 1
    assert doubled(made[0]) == [*range(0, 16, 2)]
    assert made[0].cache_path is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_a_directory_that_may_only_be_read_is_loaded_from(cache, monkeypatch, recwarn):
    """A container is given one: for root, permissions are none, so writing is made impossible here."""
    Entry(double)
    monkeypatch.setattr(CachedFile, "write", lambda *_: pytest.fail("written"))
    made = Entry(double)
    assert (made.cache_hits, made.cache_path) == (1, cache / "cpu")
    assert not recwarn.list
