"""Kernels become PTX without a GPU, once for every version of the sources."""

import re
import warnings
from importlib.metadata import version

import pytest

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

from skconvnet.engine.cuda import compiler
from skconvnet.engine.cuda.compiler import Address, Kernel, Real, float32, kernel, ptx
from skconvnet.engine.cuda.kernels.activations import relu
from skconvnet.engine.cuda.llvm.memory import load, store


def double(x: Address, factor: Real, n):
    store(x + 4 * n, load(x) * factor)


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """A cache of its own, which forgets at the end."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    compiler.cached.cache_clear()
    yield tmp_path
    compiler.cached.cache_clear()


@pytest.mark.parametrize(("cc", "target"), [((7, 5), "sm_75"), ((9, 0), "sm_90"), ((12, 0), "sm_120")])
def test_ptx_is_of_the_architecture_that_is_asked_for(cc, target):
    text = ptx(relu, cc)
    assert f".target {target}" in text
    assert text.count(".entry") == 1
    assert "ld.global.v4.f32" in text


def test_parameters_have_the_annotated_types_and_are_int32_without():
    names = {name: str(kind) for name, kind in Kernel(double, "double", 32).parameters.items()}
    assert names == {"x": "int64", "factor": "float32", "n": "int32"}


def test_two_kernels_cannot_have_one_name():
    with pytest.raises(KeyError, match="two kernels named relu"):
        kernel(name="relu")(double)


def test_what_was_compiled_comes_from_the_cache(cached, monkeypatch):
    first = ptx(relu, (8, 0))
    compiler.cached.cache_clear()
    monkeypatch.setattr(compiler.cuda, "compile", None)
    assert ptx(relu, (8, 0)) == first


def test_other_sources_are_compiled_again(cached, monkeypatch):
    ptx(relu, (8, 0))
    monkeypatch.setattr(compiler, "_STAMP", "other sources")
    monkeypatch.setattr(compiler.cuda, "compile", lambda *args, **options: ("new", None))
    assert ptx(relu, (8, 0)) == "new"


@pytest.mark.parametrize("package", ["numba", "numba-cuda", "llvmlite", "nvidia-nvvm"])
def test_another_version_of_a_compiler_compiles_again(monkeypatch, package):
    stamp = compiler._digest()
    monkeypatch.setattr(compiler, "version", lambda name: "0.1" if name == package else version(name))
    assert compiler._digest() != stamp


def test_a_compiler_that_is_no_package_has_no_version():
    assert compiler.versions("numba", "nvidia-nothing") == f"numba {version('numba')}, nvidia-nothing none"


def test_a_damaged_file_is_compiled_again(cached):
    expected = ptx(relu, (8, 0))
    (data,) = cached.rglob("output.pkl")
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 255
    data.write_bytes(content)
    again = ptx(relu, (8, 0))
    assert re.sub(r"\w*relu\w*", "", again) == re.sub(r"\w*relu\w*", "", expected)  # Numba numbers the names


def test_without_a_writable_directory_it_warns_and_compiles(cached, monkeypatch):
    blocked = cached / "file"
    blocked.touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(blocked))
    with pytest.warns(UserWarning, match="cannot be cached"):
        assert ".entry" in ptx(relu, (8, 0))


def test_numbers_stay_float32():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ".f64" not in ptx(Kernel(double, "double", 32), (9, 0))
    assert ".f64" in ptx(Kernel(lambda x, n: store(x + 4 * n, float32(n * 2.0)), "wide", 32), (9, 0))
