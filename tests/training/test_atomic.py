"""A file is replaced as a whole, at a place that can be written, and no other file is touched."""

import os
import shutil
import stat
import tempfile
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from skconvnet.engine import Trainer
from skconvnet.training import atomic
from skconvnet.training import checkpoint as _checkpoint
from tests.training.checkpoints import (
    DAMAGED,
    Killed,
    digits,
    during_the_write_of_epoch,
    files_in,
    killed_after,
    quick,
    refused,
    result,
)
from tests.training.steps import diverge_at

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="there are no devices")
def test_a_device_is_no_place_for_it():
    with refused("checkpoint='/dev/null' cannot be written: it is a directory or a device. Give the path of a file"):
        quick(checkpoint="/dev/null").fit(*digits())
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("where", ["no/such/directory/fit.npz", "file/fit.npz", "directory", ""])
def test_a_place_that_cannot_be_written_is_found_before_training(tmp_path, where, monkeypatch):
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(Trainer, "__init__", None)
    monkeypatch.chdir(tmp_path)
    with refused("checkpoint=", "Give "):
        quick(checkpoint=where).fit(*digits())


def test_a_tilde_is_no_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with refused("checkpoint='~/fit.npz' cannot be written: No such file", "~ is not expanded: os.path.expanduser"):
        quick(checkpoint="~/fit.npz").fit(*digits())
    (tmp_path / "~").mkdir()
    quick(checkpoint="~/fit.npz", max_iter=1).fit(*digits())
    assert (tmp_path / "~" / "fit.npz").exists()


@pytest.mark.parametrize("name", ["a\0b", "a" * 256])
def test_a_name_that_no_file_can_have_is_refused(name, tmp_path):
    with refused("checkpoint=", "cannot be written: "):
        quick(checkpoint=str(tmp_path / name)).fit(*digits())
    assert files_in(tmp_path) == {}


class PathOfBytes:
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return os.fsencode(self.path)


def test_every_kind_of_path_leads_to_the_same_file(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    killed_after(2, monkeypatch, path, *digits(), {})
    for same in (str(path), PathOfBytes(path), path.name, Path(path.name), f"../{path.parent.name}/{path.name}"):
        assert result(quick(checkpoint=same).fit(*digits())) == result(quick().fit(*digits()))
    assert list(files_in(path.parent)) == [path.name]


@pytest.fixture
def unprivileged():
    """A directory of a user who is not root, for whom modes mean something, while the test runs."""
    if not hasattr(os, "seteuid"):
        pytest.skip("modes are those of POSIX")
    with tempfile.TemporaryDirectory() as directory:
        user = os.geteuid()
        if user == 0:
            os.chown(directory, 65534, -1)
            os.seteuid(65534)
        yield Path(directory)
        os.seteuid(user)


def test_a_directory_that_is_read_only_or_closed_is_refused(unprivileged):
    path = unprivileged / "inner" / "fit.npz"
    path.parent.mkdir()
    for mode in (0o500, 0o000):
        path.parent.chmod(mode)
        with refused(f"checkpoint={str(path)!r} cannot be written: Permission denied. Give the path of a file"):
            _checkpoint.CheckpointFile(path)
    path.parent.chmod(0o700)
    assert files_in(path.parent) == {}


def test_a_file_that_cannot_be_read_is_not_called_damaged(unprivileged):
    path = unprivileged / "fit.npz"
    path.write_bytes(b"")
    path.chmod(0o200)
    with refused(f"checkpoint={str(path)!r} cannot be read: Permission denied. Make it readable"):
        _checkpoint.CheckpointFile(path)


def test_a_write_protected_file_is_refused(path, monkeypatch):
    quick(checkpoint=path).fit(*digits())
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write to any
    with refused("cannot be written: the file is write-protected"):
        quick(checkpoint=path).fit(*digits())


@pytest.mark.parametrize("checkpoint", [7, b"fit.npz", True])
def test_what_is_no_path_is_refused(checkpoint):
    with refused("The 'checkpoint' parameter of ConvNetClassifier must be"):
        quick(checkpoint=checkpoint).fit(*digits())


def test_warm_start_and_partial_fit_are_refused(path):
    with refused("warm_start=True resumes the network of the estimator, and checkpoint the network in the file"):
        quick(checkpoint=path, warm_start=True).fit(*digits())
    with refused("partial_fit does not support checkpoint"):
        quick(checkpoint=path).partial_fit(*digits(), classes=range(10))
    assert not path.exists()


def test_a_refused_checkpoint_leaves_the_fitted_network_as_it_was(path):
    path.write_text("something else")
    estimator = quick().fit(*digits())
    before = result(estimator)
    with refused(DAMAGED):
        estimator.set_params(checkpoint=path).fit(*digits())
    assert result(estimator) == before


def test_two_fits_that_begin_before_there_is_a_file_do_not_overwrite_each_other(path, monkeypatch):
    X, y = digits()
    other = []

    def another_fit():
        with monkeypatch.context() as patch:
            patch.undo()
            other.append(quick(checkpoint=path).fit(X[::-1], y[::-1]))
        other.append(path.read_bytes())

    with pytest.warns(UserWarning, match="another fit has written its own there .* checkpoint=None. The fit continues"):
        fitted = during_the_write_of_epoch(1, path, monkeypatch, another_fit)
    assert result(fitted) == result(quick().fit(X, y))
    assert result(other[0]) == result(quick().fit(X[::-1], y[::-1]))
    assert files_in(path.parent) == {path.name: other[1]}


def test_two_fits_with_seeds_of_their_own_do_not_overwrite_each_other(path):
    quick(random_state=None, checkpoint=path).fit(*digits())
    checkpoint, before = _checkpoint.read_checkpoint(path), path.read_bytes()
    with pytest.raises(_checkpoint.OccupiedError):
        _checkpoint.write_checkpoint(path, replace(checkpoint, seed=checkpoint.seed + 1))
    assert files_in(path.parent) == {path.name: before}


def test_what_is_put_there_during_the_fit_stays(path, monkeypatch):
    with pytest.warns(UserWarning, match="after epoch 3, .*: something else has been put there since the fit began"):
        fitted = during_the_write_of_epoch(2, path, monkeypatch, lambda: path.write_text("mine"))
    assert result(fitted) == result(quick().fit(*digits()))
    assert files_in(path.parent) == {path.name: b"mine"}


@pytest.mark.skipif(os.name != "posix", reason="links are those of POSIX")
def test_a_file_that_is_moved_and_linked_during_the_fit_is_written_where_it_is(path, tmp_path_factory, monkeypatch):
    moved = tmp_path_factory.mktemp("larger disk") / "moved.npz"

    write, epochs = _checkpoint.write_checkpoint, []

    def move_after_two(*arguments):
        epochs.append(write(*arguments))
        if len(epochs) == 2:
            path.rename(moved)
            path.symlink_to(moved)

    monkeypatch.setattr(_checkpoint, "write_checkpoint", move_after_two)
    quick(checkpoint=path).fit(*digits())
    assert path.is_symlink()
    assert _checkpoint.read_checkpoint(moved).n_epochs == 4


def test_a_file_that_is_removed_during_the_fit_is_written_anew(path, monkeypatch):
    during_the_write_of_epoch(3, path, monkeypatch, path.unlink)
    assert _checkpoint.read_checkpoint(path).n_epochs == 4


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_what_ends_the_writing_leaves_the_file_of_before(path, name, monkeypatch):
    def stop(*_):
        raise Killed

    quick(checkpoint=path).fit(*digits())
    checkpoint, before = _checkpoint.read_checkpoint(path), path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, name, stop)
        with pytest.raises(Killed):
            _checkpoint.write_checkpoint(path, checkpoint)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_it_is_on_the_disk_before_it_takes_its_place_and_so_is_its_name_after(path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor):
        done.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        return fsync(descriptor)

    def note_replace(*names):
        done.append("replace")
        return replace(*names)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    quick(checkpoint=path, max_iter=2).fit(*digits())
    assert done == ["file", "replace", "directory"] * 2


@pytest.mark.parametrize("name", ["open", "fsync"])
def test_a_system_that_cannot_sync_a_directory_writes_all_the_same(path, name, monkeypatch):
    own = getattr(os, name)

    def no_directories(what, *arguments):
        if what == path.parent or (name == "fsync" and stat.S_ISDIR(os.fstat(what).st_mode)):
            raise PermissionError(13, "Permission denied")
        return own(what, *arguments)

    monkeypatch.setattr(os, name, no_directories)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick(checkpoint=path).fit(*digits())
    assert _checkpoint.read_checkpoint(path).n_epochs == 4


def left_by_a_kill(path, token="0123456789abcdef"):
    """The name of a file that a kill leaves."""
    return path.with_name(f".{path.name}.{token}.skconvnet-part")


def test_no_other_file_is_written_to_or_removed(path):
    names = ["fit.npz.part", "fit.npz.tmp", ".fit.npz.0123.skconvnet-part", left_by_a_kill(Path("other.npz")).name]
    names += [f"{left_by_a_kill(path).name}.mine", f"my{left_by_a_kill(path).name}"]
    others = {name: f"mine {name}".encode() for name in names}
    for name, content in others.items():
        path.with_name(name).write_bytes(content)
    quick(checkpoint=path).fit(*digits())
    assert files_in(path.parent) == others | {path.name: path.read_bytes()}


def test_a_file_whose_name_is_taken_is_not_written_over(path, monkeypatch):
    quick(checkpoint=path).fit(*digits())
    monkeypatch.setattr(atomic.secrets, "token_hex", lambda _: "0" * 16)
    taken = left_by_a_kill(path, "0" * 16)
    taken.write_text("another's")
    before = files_in(path.parent)
    with pytest.raises(FileExistsError):
        _checkpoint.write_checkpoint(path, _checkpoint.read_checkpoint(path))
    with refused("cannot be written: File exists"):
        quick(checkpoint=path).fit(*digits())
    assert files_in(path.parent) == before


def test_what_a_kill_left_is_removed_by_the_fit_that_goes_on(path, monkeypatch):
    killed_after(2, monkeypatch, path, *digits(), {})
    left_by_a_kill(path).write_text("half a check")
    with refused("belongs to another fit"):
        quick(checkpoint=path, alpha=7).fit(*digits())
    assert left_by_a_kill(path).exists()  # a refused fit changes nothing
    quick(checkpoint=path).fit(*digits())
    assert list(files_in(path.parent)) == [path.name]


def test_a_directory_is_nothing_that_a_kill_left(path):
    left_by_a_kill(path).mkdir()
    quick(checkpoint=path).fit(*digits())
    assert left_by_a_kill(path).is_dir()


@pytest.mark.skipif(os.name != "posix", reason="links are those of POSIX")
def test_a_link_is_nothing_that_a_kill_left(path, tmp_path_factory):
    target = tmp_path_factory.mktemp("mine") / "mine"
    target.write_text("mine")
    left_by_a_kill(path).symlink_to(target)
    quick(checkpoint=path).fit(*digits())
    assert left_by_a_kill(path).read_text() == "mine"


def test_a_fit_whose_half_written_file_is_taken_away_warns_and_goes_on(path, monkeypatch):
    fsync, writes = os.fsync, []

    def another_fit_begins(descriptor):
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            writes.append(fsync(descriptor))
            if len(writes) == 2:
                atomic.remove_parts(path)

    monkeypatch.setattr(os, "fsync", another_fit_begins)
    with pytest.warns(UserWarning, match="not written after epoch 2, .*No such file or directory. The fit continues"):
        fitted = quick(checkpoint=path).fit(*digits())
    assert result(fitted) == result(quick().fit(*digits()))
    assert _checkpoint.read_checkpoint(path).n_epochs == 4


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_the_mode_of_open_and_a_file_keeps_its_own(path, umask, mode):
    own = os.umask(umask)
    try:
        quick(checkpoint=path, max_iter=1).fit(*digits())
        assert stat.S_IMODE(path.stat().st_mode) == mode
        checkpoint = _checkpoint.read_checkpoint(path)
        for other in (0o600, 0o640, 0o666):
            path.chmod(other)
            _checkpoint.write_checkpoint(path, checkpoint)
            assert stat.S_IMODE(path.stat().st_mode) == other
    finally:
        os.umask(own)


@pytest.mark.skipif(os.name != "posix", reason="links are those of POSIX")
@pytest.mark.parametrize("dangling", [True, False])
def test_a_link_stays_and_its_target_is_written(tmp_path, dangling, monkeypatch):
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "fit.npz", tmp_path / "link.npz"
    link.symlink_to(Path("disk", "fit.npz"))
    if not dangling:
        killed_after(2, monkeypatch, target, *digits(), {})
    assert result(quick(checkpoint=link).fit(*digits())) == result(quick().fit(*digits()))
    assert os.readlink(link) == str(Path("disk", "fit.npz"))
    assert not target.is_symlink()
    assert _checkpoint.read_checkpoint(target).n_epochs == 4
    assert [file.name for file in target.parent.iterdir()] == [target.name]
    with refused(f"checkpoint={str(link)!r} belongs to another fit"):
        quick(checkpoint=link, alpha=7).fit(*digits())
    target.write_text("something else")
    with refused(f"checkpoint={str(link)!r} {DAMAGED}"):
        quick(checkpoint=link).fit(*digits())


@pytest.mark.skipif(os.name != "posix", reason="links are those of POSIX")
def test_links_that_lead_nowhere_are_refused_and_stay(tmp_path):
    loop, lost = tmp_path / "loop.npz", tmp_path / "lost.npz"
    loop.symlink_to(loop.name)
    lost.symlink_to(Path("no", "such", "directory"))
    for link in (loop, lost):
        with refused(f"checkpoint={str(link)!r} cannot be written: "):
            quick(checkpoint=link).fit(*digits())
        assert link.is_symlink()


def test_a_relative_path_means_the_same_in_another_directory(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    during_the_write_of_epoch(2, "fit.npz", monkeypatch, partial(os.chdir, "elsewhere"))
    assert list(files_in(tmp_path / "elsewhere")) == []
    assert _checkpoint.read_checkpoint(tmp_path / "fit.npz").n_epochs == 4


def test_a_directory_that_vanishes_warns_and_the_fit_goes_on(tmp_path, monkeypatch):
    path = tmp_path / "disk" / "fit.npz"
    path.parent.mkdir()
    vanish = partial(shutil.rmtree, path.parent)
    with pytest.warns(UserWarning, match="written after epoch [34], .*No such file or directory. The fit continues"):
        fitted = during_the_write_of_epoch(2, path, monkeypatch, vanish)
    assert result(fitted) == result(quick().fit(*digits()))
    assert not path.parent.exists()


def test_what_ends_the_writing_is_not_hidden_by_what_cannot_be_removed(tmp_path, monkeypatch):
    path = tmp_path / "disk" / "fit.npz"
    path.parent.mkdir()

    def vanish():
        shutil.rmtree(path.parent)
        raise Killed

    with pytest.raises(Killed):
        during_the_write_of_epoch(2, path, monkeypatch, vanish)


def test_a_file_that_may_grow_no_further_warns_and_leaves_nothing(path, monkeypatch):
    resource = pytest.importorskip("resource")
    own = resource.getrlimit(resource.RLIMIT_FSIZE)
    killed_after(1, monkeypatch, path, *digits(), {})
    before = files_in(path.parent)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before[path.name]) // 2, own[1]))
    try:
        with pytest.warns(UserWarning, match="was not written after epoch 2, .*File too large. The fit continues"):
            fitted = quick(checkpoint=path).fit(*digits())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, own)
    assert result(fitted) == result(quick().fit(*digits()))
    assert files_in(path.parent) == before


def test_a_full_disk_warns_and_the_fit_goes_on(path, monkeypatch):
    calls = []

    def full(descriptor):
        calls.append(stat.S_ISREG(os.fstat(descriptor).st_mode))
        if sum(calls) > 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(
        UserWarning, match="was not written after epoch [34], .*No space left on device.* The fit continues"
    ) as warned:
        fitted = quick(checkpoint=path).fit(*digits())
    assert {warning.filename for warning in warned} == {__file__}
    assert result(fitted) == result(quick().fit(*digits()))
    assert _checkpoint.read_checkpoint(path).n_epochs == 2


def test_a_fit_that_diverges_leaves_the_checkpoint_of_its_last_finite_epoch(path, monkeypatch):
    diverge_at(30, monkeypatch)
    errors = []
    for _ in range(2):
        with pytest.raises(FloatingPointError, match="in epoch 3, step 4 of 13") as caught:
            quick(checkpoint=path).fit(*digits())
        errors.append(str(caught.value))
        assert _checkpoint.read_checkpoint(path).n_epochs == 2
    assert errors[0] == errors[1]
