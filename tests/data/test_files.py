"""Which files of a directory or archive are read: links, special files, odd entries."""

import os
import socket
import stat
import zipfile
import zlib

import pytest
from numpy.testing import assert_array_equal

from skconvnet.data.files import open_files
from skconvnet.data.folder import load_image_folder
from tests.data.image_files import colour, encoded, grey, packed

needs_unix = pytest.mark.skipif(os.name != "posix", reason="Windows has no FIFOs, and links need a privilege")


def test_a_path_that_does_not_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"elsewhere\.zip' does not exist"):
        load_image_folder(tmp_path / "elsewhere.zip")


@pytest.mark.parametrize("content", [b"", b"neither", encoded(grey(1)), zlib.compress(b"x" * 999)])
def test_neither_directory_nor_archive(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match="is neither a directory nor a zip archive"):
        load_image_folder(tmp_path / "file")


@pytest.mark.parametrize("lazy", [False, True])
def test_an_image_is_no_folder(tmp_path, lazy):
    (tmp_path / "1.png").write_bytes(encoded(grey(1)))
    with pytest.raises(ValueError, match=r"1.png' is neither a directory nor .* Read one image with load_image, or"):
        load_image_folder(tmp_path / "1.png", lazy=lazy)


def test_links_are_followed_but_not_in_circles(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.png").write_bytes(encoded(grey(1)))
    (tmp_path / "images" / "dog").mkdir(parents=True)
    try:
        (tmp_path / "images" / "cat").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
        (tmp_path / "images" / "dog" / "2.png").symlink_to(tmp_path / "elsewhere" / "1.png")
        (tmp_path / "images" / "dog" / "all").symlink_to(tmp_path / "images", target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    with pytest.warns(UserWarning, match=r"^'dog/all' below '.*images': these links are left out") as warned:
        assert load_image_folder(tmp_path / "images").filenames.tolist() == ["cat/1.png", "dog/2.png"]
    assert warned[0].filename == __file__


@needs_unix
def test_mutual_links_load_each_image_once(tmp_path):
    for name, other in (("cat", "dog"), ("dog", "cat")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(encoded(grey(1)))
        (tmp_path / name / "other").symlink_to(tmp_path / other)
    with pytest.warns(UserWarning, match="^'cat/other', 'dog/other' below "):
        folder = load_image_folder(tmp_path)
    assert folder.filenames.tolist() == ["cat/1.png", "dog/1.png"]


@needs_unix
def test_a_directory_keeps_its_own_name_whatever_links_to_it(tmp_path):
    """Also if the link is hidden or comes first in the alphabet. A link names a directory outside the tree."""
    outside = tmp_path / "outside"
    for folder in ("images/dog", "images/.cache", "images/a", "outside/deep"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("images/dog/1.png", "images/a/1.png", "outside/2.png", "outside/deep/3.png"):
        (tmp_path / file).write_bytes(encoded(grey(1)))
    (tmp_path / "images" / "a" / "b").symlink_to(tmp_path / "images" / "dog")
    (tmp_path / "images" / ".cache" / "c").symlink_to(outside)
    (tmp_path / "images" / "cat").symlink_to(outside)
    (tmp_path / "images" / "horse").symlink_to(outside / "deep")
    (outside / "back").symlink_to(tmp_path / "images")
    with pytest.warns(UserWarning, match="^'a/b', 'cat/back', 'horse' below "):
        folder = load_image_folder(tmp_path / "images")
    assert folder.filenames.tolist() == ["a/1.png", "cat/2.png", "cat/deep/3.png", "dog/1.png"]


@needs_unix
def test_a_link_into_the_directory_of_a_later_link_loads_each_image_once(tmp_path):
    for folder in ("images", "outside/deep"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("outside/1.png", "outside/deep/2.png"):
        (tmp_path / file).write_bytes(encoded(grey(1)))
    (tmp_path / "images" / "cat").symlink_to(tmp_path / "outside" / "deep")
    (tmp_path / "images" / "dog").symlink_to(tmp_path / "outside")
    assert load_image_folder(tmp_path / "images").filenames.tolist() == ["cat/2.png", "dog/1.png"]


@needs_unix
@pytest.mark.parametrize("kind", ["FIFO", "device", "socket", "link to a directory", "link to itself"])
@pytest.mark.parametrize("channels", [None, 1])
def test_only_regular_files_are_read(tmp_path, kind, channels):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(encoded(grey(1)))
    odd = tmp_path / "cat" / "2.png"
    with socket.socket(socket.AF_UNIX) as unix:
        if kind == "FIFO":
            os.mkfifo(odd)
        elif kind == "device":
            odd.symlink_to("/dev/zero")
        elif kind == "socket":
            unix.bind(str(odd)) if len(str(odd)) < 100 else pytest.skip("the path is too long for a socket")
        elif kind == "link to itself":
            odd.symlink_to(odd)
        else:
            odd.symlink_to(tmp_path / "cat")
        if kind == "link to a directory":
            with pytest.warns(UserWarning, match="'cat/2.png' below"):
                folder = load_image_folder(tmp_path, channels=channels)
        else:
            reason = "Too many levels" if kind == "link to itself" else "it is not a regular file"
            with pytest.raises(ValueError, match=rf"'cat/2\.png' in '.*' cannot be read as an image: .*{reason}"):
                load_image_folder(tmp_path, channels=channels)
            with pytest.warns(UserWarning, match=r"'cat/2\.png' in .* It is left out"):
                folder = load_image_folder(tmp_path, channels=channels, on_error="warn")
    assert folder.filenames.tolist() == ["cat/1.png"]


@needs_unix
def test_a_path_that_is_not_a_regular_file(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", "/dev/zero"):
        with pytest.raises(ValueError, match="is neither a directory nor a zip archive: it is not a regular file"):
            load_image_folder(path)


@needs_unix
def test_a_file_of_a_terabyte_is_not_read(tmp_path):
    (tmp_path / "cat").mkdir()
    with open(tmp_path / "cat" / "1.png", "wb") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match=r"'cat/1\.png' in .*: it has 1,099,511,627,776 bytes"):
        load_image_folder(tmp_path)


# Archives


@pytest.mark.parametrize("name", ["../cat/1.png", "cat/../../1.png", "..\\cat\\1.png"])
def test_names_that_lead_out_of_the_archive(tmp_path, name):
    path = packed(tmp_path / "images.zip", {"cat/2.png": encoded(grey(1)), name: encoded(grey(1))})
    with pytest.raises(ValueError, match="leads out of the archive"):
        load_image_folder(path)


@pytest.mark.parametrize(
    "form", ["/animals/cat/1.png", "animals\\cat\\1.png", "./animals/cat/1.png", "animals//cat/1.png"]
)
def test_odd_names_in_an_archive(tmp_path, form):
    files = {form: encoded(grey(1)), form.replace("cat", "dog"): encoded(grey(2))}
    folder = load_image_folder(packed(tmp_path / "images.zip", files))
    assert folder.target.tolist() == ["cat", "dog"]
    assert folder.filenames.tolist() == ["animals/cat/1.png", "animals/dog/1.png"]


@pytest.mark.filterwarnings("ignore:'empty.png' in .* is not a class:UserWarning")
@pytest.mark.parametrize("name", [".", "/", "\\", "./", "cat/", "cat\\", "empty.png/", "empty.png\\"])
def test_directories_in_an_archive_are_not_files(tmp_path, name):
    path = packed(tmp_path / "images.zip", {name: b"", "cat/1.png": encoded(grey(1))})
    assert load_image_folder(path).filenames.tolist() == ["cat/1.png"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_an_archive_are_refused(tmp_path, kind):
    path = packed(tmp_path / "images.zip", {"cat/1.png": encoded(grey(1))})
    with zipfile.ZipFile(path, "a") as archive:
        for number, mode in ((2, stat.S_IFREG), (3, kind)):
            entry = zipfile.ZipInfo(f"cat/{number}.png")
            entry.create_system, entry.external_attr = 3, (mode | 0o777) << 16
            archive.writestr(entry, encoded(grey(1)))
    with pytest.raises(
        ValueError, match=r"'cat/3\.png' in .* cannot be read as an image: it is not a regular file, and"
    ):
        load_image_folder(path)
    with pytest.warns(UserWarning, match=r"'cat/3\.png'"):
        assert len(load_image_folder(path, on_error="warn").data) == 2


def test_names_beyond_ascii(stored):
    folder = load_image_folder(stored({"Käse/1.png": encoded(grey(1)), "猫/1.png": encoded(grey(1))}))
    assert folder.target.tolist() == ["Käse", "猫"]


def test_an_archive_and_its_directory_load_alike(tmp_path):
    files = {f"all/{name}/{i}.png": encoded(colour(i)) for name in ("b", "a", "a b") for i in range(12)}
    archive = packed(tmp_path / "images.zip", files)
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path / "images")
    one, other = load_image_folder(archive), load_image_folder(tmp_path / "images")
    assert_array_equal(one.data, other.data)
    assert_array_equal(one.filenames, other.filenames)


def test_a_damaged_entry_is_named(tmp_path):
    content = encoded(colour(0, 40, 40))
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:  # not compressed: its bytes are found below
        archive.writestr("cat/1.png", encoded(grey(1)))
        archive.writestr("cat/2.png", content)
    whole = (tmp_path / "images.zip").read_bytes()
    at = whole.index(content) + len(content) // 2
    (tmp_path / "images.zip").write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
    with pytest.raises(ValueError, match=r"'cat/2\.png' in '.*images\.zip' cannot be read as an image: Bad CRC"):
        load_image_folder(tmp_path / "images.zip")


def test_an_entry_that_unpacks_to_far_too_much(tmp_path):
    path = packed(tmp_path / "images.zip", {"cat/1.png": encoded(grey(1)), "cat/2.png": bytes(10_001)})
    with open_files(path, max_bytes=10_000) as files:
        assert files.names == [("cat", "1.png"), ("cat", "2.png")]
        assert files.read(("cat", "1.png")) == encoded(grey(1))
        with pytest.raises(ValueError, match="it unpacks to 10,001 bytes"):
            files.read(("cat", "2.png"))


def test_a_dangling_link(tmp_path):
    (tmp_path / "cat").mkdir()
    try:
        (tmp_path / "cat" / "1.png").symlink_to(tmp_path / "gone.png")
    except OSError:
        pytest.skip("no links here")
    with pytest.raises(ValueError, match=r"'cat/1\.png' .* No such file"):
        load_image_folder(tmp_path)


# Sizes
