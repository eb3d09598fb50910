from pathlib import Path

import pytest

from skconvnet._system import cache_folder, machine_memory


def test_the_memory_of_this_machine():
    assert 2**28 < machine_memory() < 2**60


def test_a_container_may_have_less(tmp_path):
    files = [tmp_path / "limit", tmp_path / "no_limit", tmp_path / "absent"]
    files[0].write_text("12345\n")
    files[1].write_text("max\n")
    assert machine_memory(files) == 12345
    assert machine_memory(files[1:]) == machine_memory([])


def test_kernels_are_kept_where_the_environment_says(monkeypatch, tmp_path):
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    assert cache_folder("cpu") == Path.home() / ".cache" / "skconvnet" / "cpu"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "users"))
    assert cache_folder("cpu") == tmp_path / "users" / "skconvnet" / "cpu"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "chosen"))
    assert cache_folder("cuda") == tmp_path / "chosen" / "cuda"


def test_a_user_without_a_home_has_no_directory_for_kernels(monkeypatch):
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)

    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)
    with pytest.raises(OSError, match="skconvnet"):
        cache_folder("cpu").mkdir(parents=True)
