"""Folders of images: which files are images, what their classes are, how they are decoded, and broken files."""

import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skconvnet.data.folder import load_image_folder
from tests.data.image_files import Image, colour, encoded, gradual, grey


def test_images_are_sorted_by_class_and_name(stored):
    pixels = {"dog/b.png": 1, "cat/2.png": 2, "cat/10.png": 3, "dog/A.png": 4, "cat-like/x.png": 5}
    folder = load_image_folder(stored({name: encoded(grey(value)) for name, value in pixels.items()}))
    assert folder.filenames.tolist() == ["cat/10.png", "cat/2.png", "cat-like/x.png", "dog/A.png", "dog/b.png"]
    assert folder.target.tolist() == ["cat", "cat", "cat-like", "dog", "dog"]
    assert folder.target_names == ["cat", "cat-like", "dog"]
    assert_array_equal(folder.data, [grey(value) for value in (3, 2, 5, 4, 1)])
    assert folder.data.dtype == np.uint8
    assert folder.data.flags.c_contiguous


def test_the_pair_has_the_arrays_of_the_bunch(stored):
    path = stored({"a/1.png": encoded(colour(1)), "b/1.png": encoded(colour(2))})
    X, y = load_image_folder(str(path), return_X_y=True)
    folder = load_image_folder(path)
    assert_array_equal(X, folder.data)
    assert_array_equal(y, folder.target)
    assert_array_equal(X, [colour(1), colour(2)])


def test_an_estimator_accepts_the_data(stored):
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.utils.validation import check_X_y

    path = stored(
        {
            f"{name}/{i}.png": encoded(grey(value + i))
            for name, value in (("dark", 10), ("light", 200))
            for i in range(3)
        }
    )
    X, y = load_image_folder(path, return_X_y=True)
    check_X_y(X.reshape(len(X), -1), y)
    assert KNeighborsClassifier(1).fit(X.reshape(6, -1), y).predict([grey(190).ravel()]) == ["light"]


@pytest.mark.parametrize("ending", ["jpg", "jpeg", "jpe", "jfif", "JPG", "JPEG", "png", "PNG"])
def test_endings(stored, ending):
    kind = "PNG" if ending.lower() == "png" else "JPEG"
    folder = load_image_folder(stored({f"a/1.{ending}": encoded(gradual(), kind)}))
    assert folder.data.shape == (1, 16, 24, 3)
    assert_allclose(folder.data[0].astype(int), gradual(), atol=0 if kind == "PNG" else 12)


def test_the_content_decides_the_format(stored):
    folder = load_image_folder(stored({"a/1.jpg": encoded(colour(0)), "a/2.png": encoded(gradual(4, 5), "JPEG")}))
    assert_array_equal(folder.data[0], colour(0))


def test_a_file_that_another_program_draws_is_not_read(stored):
    """Pillow starts Ghostscript for an EPS file."""
    with pytest.raises(ValueError, match=r"'a/1\.png' in .* cannot be read as an image: it is in no format"):
        load_image_folder(stored({"a/1.png": encoded(colour(0), "EPS")}))


# Folders


def test_folders_around_all_others_are_passed_through(stored):
    files = {f"data/animals/{name}/1.png": encoded(grey(1)) for name in ("cat", "dog")}
    folder = load_image_folder(stored(files | {"data/readme.txt": b"Animals."}))
    assert folder.target.tolist() == ["cat", "dog"]
    assert folder.filenames.tolist() == ["data/animals/cat/1.png", "data/animals/dog/1.png"]


def test_folders_in_a_class_belong_to_it(stored):
    names = ["cat/1.png", "cat/persian/1.png", "cat/persian/old/1.png", "dog/poodle/1.png"]
    folder = load_image_folder(stored({name: encoded(grey(1)) for name in names}))
    assert folder.target.tolist() == ["cat", "cat", "cat", "dog"]


def test_one_class_is_a_class(stored):
    folder = load_image_folder(stored({"cat/1.png": encoded(grey(1)), "cat/2.png": encoded(grey(2))}))
    assert folder.target.tolist() == ["cat", "cat"]


@pytest.mark.parametrize("around", ["", "animals/", "data/animals/"])
def test_one_class_with_files_and_folders_is_a_class(stored, around):
    names = [f"{around}cat/{name}" for name in ("1.png", "old/2.png", "persian/3.png", "persian/old/4.png")]
    folder = load_image_folder(stored({name: encoded(grey(1)) for name in names}))
    assert folder.target.tolist() == ["cat"] * 4
    assert folder.filenames.tolist() == names


def test_an_image_beside_the_classes(stored):
    names = ("cat/1.png", "dog/1.png", "logo.png")
    with pytest.raises(ValueError, match=r"'logo\.png' in .* is not in a folder"):
        load_image_folder(stored({name: encoded(grey(1)) for name in names}))


def test_a_folder_with_its_own_image_is_not_passed_through(stored):
    names = ("animals/cat/1.png", "animals/dog/1.png", "animals/logo.png")
    folder = load_image_folder(stored({name: encoded(grey(1)) for name in names}))
    assert folder.target_names == ["animals"]


def test_images_without_any_folder(stored):
    with pytest.raises(ValueError, match=r"is not in a folder.* or use labelled=False, which loads images without"):
        load_image_folder(stored({"1.png": encoded(grey(1)), "2.png": encoded(grey(1))}))


def test_hidden_files_and_other_files_are_ignored(stored):
    seen = {"cat/1.png": encoded(grey(1)), "dog/1.png": encoded(grey(2))}
    unseen = ["cat/.1.png", "cat/._1.png", ".git/x/1.png", "__MACOSX/cat/._1.png", "__MACOSX/cat/1.png"]
    unseen += ["cat/Thumbs.db", "cat/notes.txt", "labels.csv", "cat/.cache/1.png", "cat/png", "cat/old/1.txt"]
    path = stored(seen | dict.fromkeys(unseen, b"none of these is an image"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_image_folder(path).filenames.tolist() == list(seen)


@pytest.mark.parametrize(
    ("names", "folder", "kinds"),
    [
        (["cat/1.png", "dog/1.png", "bird/1.mov", "bird/2.TXT"], "bird", r"\.TXT, \.mov"),
        (["cat/1.png", "bird/old/1.csv"], "bird", r"\.csv"),
        (["animals/cat/1.png", "animals/dog/1.png", "animals/bird/1.npy"], "animals/bird", r"\.npy"),
        (["cats/persian/1.png", "dogs/poodle/1.mov"], "dogs", r"\.mov"),
    ],
)
def test_a_folder_without_images_is_not_a_class(stored, names, folder, kinds):
    path = stored({name: encoded(grey(1)) for name in names})
    message = rf"^'{folder}' in '.*images.*' is not a class: it has no images that can be read, only {kinds}"
    with pytest.warns(UserWarning, match=message) as warned:
        loaded = load_image_folder(path)
    assert len(warned) == 1
    assert warned[0].filename == __file__
    assert loaded.filenames.tolist() == [name for name in names if name.endswith("png")]


@pytest.mark.parametrize("empty", ["bird", "bird/old"])
def test_an_empty_folder_is_not_a_class(tmp_path, empty):
    for name in ("images/cat/1.png", f"images/{empty}/.hidden"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(encoded(grey(1)))
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("cat/1.png", encoded(grey(1)))
        archive.writestr(f"{empty}/", b"")
    for path in (tmp_path / "images", tmp_path / "images.zip"):
        message = r"^'bird' in '.*images.*' is not a class: it has no images that can be read, and no other files\.$"
        with pytest.warns(UserWarning, match=message) as warned:
            assert load_image_folder(path).target_names == ["cat"]
        assert len(warned) == 1
        assert warned[0].filename == __file__


def test_images_in_other_formats_are_left_out_with_a_warning(stored):
    names = ["cat/1.png", "cat/2.HEIC", "dog/1.svg", "dog/2.png", "dog/notes.txt"]
    path = stored({name: encoded(grey(1)) for name in names})
    message = r"^2 images below '.*images.*' are left out, for example 'cat/2\.HEIC': their format is not read"
    with pytest.warns(UserWarning, match=message) as warned:
        loaded = load_image_folder(path)
    assert len(warned) == 1
    assert warned[0].filename == __file__
    assert loaded.filenames.tolist() == ["cat/1.png", "dog/2.png"]


SPLIT = ["test/a/1.png", "test/b/1.png", "train/a/1.png", "train/a/old/2.png", "train/b/1.png"]


@pytest.mark.parametrize("around", ["", "data/"])
def test_train_and_test_folders_are_warned_of(stored, around):
    path = stored({around + name: encoded(grey(1)) for name in SPLIT})
    message = (
        r"The classes are 'test', 'train', and each has the same subfolders, 'a', 'b'\. .* such as '.*images.*test'"
    )
    with pytest.warns(UserWarning, match=message) as warned:
        folder = load_image_folder(path)
    assert len(warned) == 1
    assert warned[0].filename == __file__
    assert folder.target_names == ["test", "train"]
    if path.is_dir():
        assert load_image_folder(path / around / "test").target_names == ["a", "b"]


@pytest.mark.parametrize(
    "names",
    [
        SPLIT[:2],  # passed through
        [*SPLIT, "val/a/1.png"],
        [*SPLIT, "test/1.png"],
        ["cat/images/1.png", "dog/images/1.png"],
        ["cat/old/1.png", "cat/new/1.png", "dog/old/1.png", "dog/red/1.png"],
        ["cat/old/1.png", "cat/new/1.png", "cat/1.png", "dog/old/1.png", "dog/new/1.png", "dog/1.png"],
    ],
)
def test_other_subfolders_are_not_warned_of(stored, names):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(load_image_folder(stored({name: encoded(grey(1)) for name in names})).data) == len(names)


def test_an_empty_folder(stored):
    with pytest.raises(ValueError, match=r"No image below '.*images.*' can be read: there are no files\."):
        load_image_folder(stored({}))


def test_a_folder_without_images(stored):
    files = {"cat/1.mov": b"", "dog/1.csv": b"", "README": b"", ".hidden.svg": b""}
    with pytest.raises(
        ValueError, match=r"No image below '.*' can be read: there are only \.csv, \.mov, README files\."
    ):
        load_image_folder(stored(files))


# Without classes, and in threads


def test_without_classes(stored):
    pixels = {"b.png": 1, "a.png": 2, "more/c.png": 3, "more/deep/d.bmp": 4}
    path = stored({name: encoded(grey(value)) for name, value in pixels.items()} | {"notes.txt": b""})
    folder = load_image_folder(path, labelled=False)
    assert set(folder) == {"data", "filenames", "load"}
    assert folder.filenames.tolist() == ["a.png", "b.png", "more/c.png", "more/deep/d.bmp"]
    assert_array_equal(folder.data, [grey(value) for value in (2, 1, 3, 4)])
    with pytest.raises(ValueError, match=r"^labelled=False loads no y for return_X_y=True"):
        load_image_folder(path, labelled=False, return_X_y=True)


@pytest.mark.parametrize("n_jobs", [1, 3, -1])
def test_threads_change_nothing(stored, n_jobs):
    """The order of images, and which error comes first."""
    files = {f"a/{i:02}.png": encoded(grey(i, 4 + 200 * (i % 2), 4)) for i in range(30)}
    folder = load_image_folder(stored(files), size=4, n_jobs=n_jobs)
    assert folder.filenames.tolist() == list(files)
    assert_array_equal(folder.data, [grey(i, 4, 4) for i in range(30)])
    path = stored(files | {"a/07.png": b"", "a/09.png": b"", "a/11.png": BROKEN["cut PNG"]})
    with pytest.raises(ValueError, match=r"^'a/07\.png' in "):
        load_image_folder(path, size=4, n_jobs=n_jobs)
    with pytest.warns(UserWarning, match="It is left out") as warned:
        assert len(load_image_folder(path, size=4, n_jobs=n_jobs, on_error="warn").data) == 27
    assert [str(warning.message)[:10] for warning in warned] == ["'a/07.png'", "'a/09.png'", "'a/11.png'"]


# Broken files

BROKEN = {
    "empty": b"",
    "text": b"This is no image.",
    "cut JPEG": encoded(gradual(64, 64), "JPEG")[:-600],
    "cut PNG": encoded(colour(0, 64, 64))[:-600],
    "beginning of a PNG": encoded(colour(0))[:20],
    "damaged PNG": encoded(colour(0, 64, 64))[:300] + bytes(50) + encoded(colour(0, 64, 64))[350:],
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("channels", [None, 3])
def test_a_broken_file_is_named_or_left_out(stored, content, channels):
    path = stored({"cat/1.png": encoded(colour(1)), "cat/2.png": content, "dog/1.png": encoded(colour(2))})
    with pytest.raises(ValueError, match=r"'cat/2\.png' in '.*images.*' cannot be read as an image: .*on_error='warn'"):
        load_image_folder(path, channels=channels)
    with pytest.warns(UserWarning, match=r"'cat/2\.png' in '.*images.*' cannot .* It is left out") as warned:
        folder = load_image_folder(path, channels=channels, on_error="warn")
    assert len(warned) == 1
    assert warned[0].filename == __file__
    assert folder.filenames.tolist() == ["cat/1.png", "dog/1.png"]
    assert folder.target.tolist() == ["cat", "dog"]
    assert_array_equal(folder.data, [colour(1), colour(2)])


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_an_error_about_a_broken_file_names_no_internal_object(stored, content):
    path = stored({"cat/1.png": encoded(colour(1)), "cat/2.png": content})
    with pytest.raises(ValueError, match=r"'cat/2\.png' in ") as caught:
        load_image_folder(path)
    assert "BytesIO" not in str(caught.value)
    assert " at 0x" not in str(caught.value)


@pytest.mark.parametrize("kind", ["empty", "text"])
def test_a_file_that_is_no_image(stored, kind):
    with pytest.raises(ValueError, match=r"cannot be read as an image: it is in no format that is read, or is trunc"):
        load_image_folder(stored({"cat/2.png": BROKEN[kind]}))


def test_a_class_with_only_broken_files_is_left_out(stored):
    path = stored({"cat/1.png": encoded(grey(1)), "dog/1.png": b""})
    with pytest.warns(UserWarning, match="dog/1"):
        assert load_image_folder(path, on_error="warn").target_names == ["cat"]


@pytest.mark.filterwarnings("ignore:.*left out:UserWarning")
def test_only_broken_files(stored):
    with pytest.raises(ValueError, match=r"None of the 2 files in '.*images.*' can be read as an image"):
        load_image_folder(stored({"cat/1.png": b"", "dog/1.png": b""}), on_error="warn")


def test_more_pixels_than_pillow_allows(stored, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    path = stored({"cat/1.png": encoded(grey(1)), "cat/2.png": encoded(grey(1, 9, 9))})
    with pytest.raises(ValueError, match=r"'cat/2\.png' in .* exceeds limit of 80 pixels"):
        load_image_folder(path, size=4)


def test_different_sizes(stored):
    path = stored(
        {"a/1.png": encoded(grey(1, 4, 5)), "a/2.png": encoded(grey(1, 4, 5)), "b/1.png": encoded(grey(1, 5, 4))}
    )
    with pytest.raises(
        ValueError, match=r"'a/1\.png' has 4 x 5 pixels and 'b/1\.png' has 5 x 4 \(height x width\).*size="
    ):
        load_image_folder(path)


@pytest.mark.parametrize(("size", "shape"), [(7, (7, 7)), ((3, 8), (3, 8)), ([3, 8], (3, 8)), (np.int64(2), (2, 2))])
def test_size(stored, size, shape):
    path = stored({"a/1.png": encoded(grey(80, 4, 5)), "b/1.png": encoded(grey(90, 31, 2))})
    X, _ = load_image_folder(path, size=size, return_X_y=True)
    assert X.shape == (2, *shape)
    assert_array_equal(X[0], 80)
    assert_array_equal(X[1], 90)


@pytest.mark.parametrize(("channels", "shape"), [(None, "90000000 x 80000000"), (3, "90000000 x 80000000 x 3")])
def test_a_size_that_exceeds_memory_is_refused_before_decoding(stored, channels, shape):
    path = stored({"a/1.png": encoded(grey(1)), "b/1.png": b"never decoded"})
    n_bytes = 2 * 90_000_000 * 80_000_000 * (channels or 1)
    message = rf"^2 images of {shape} need {n_bytes:,} bytes of memory, and this machine has [\d,]+\. Use a smaller"
    with pytest.raises(ValueError, match=message):
        load_image_folder(path, size=(90_000_000, 80_000_000), channels=channels)


def test_images_that_exceed_memory_are_refused(stored, monkeypatch):
    path = stored({"a/1.png": encoded(colour(1)), "b/1.png": encoded(colour(2))})
    monkeypatch.setattr("skconvnet.data.image_file.machine_memory", lambda: 119)
    with pytest.raises(ValueError, match=r"^2 images of 4 x 5 x 3 need 120 bytes of memory, and this machine has 119"):
        load_image_folder(path)
    monkeypatch.setattr("skconvnet.data.image_file.machine_memory", lambda: 120)
    assert len(load_image_folder(path).data) == 2


def test_scaling_keeps_the_picture_and_averages_over_all_pixels(stored):
    pixels = np.zeros((8, 16), np.uint8)
    pixels[:, 8:] = 200
    pixels[::2, 8:] = 100
    X, _ = load_image_folder(stored({"a/1.png": encoded(pixels)}), size=(2, 4), return_X_y=True)
    assert_allclose(X[0].astype(int), [[0, 0, 150, 150]] * 2, atol=25)
    assert_array_equal(X[0][:, 0], 0)


# Colours


def one(stored, pixels, kind="PNG", channels=None, **options):
    """The only image, loaded."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_image_folder(stored({"a/1.png": encoded(pixels, kind, **options)}), channels=channels).data[0]


def test_grey_if_all_are_grey_else_rgb(stored):
    path = stored({"a/1.png": encoded(grey(7)), "b/1.png": encoded(colour(0))})
    X, _ = load_image_folder(path, return_X_y=True)
    assert_array_equal(X, [np.stack([grey(7)] * 3, axis=2), colour(0)])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16"])
def test_grey_modes(stored, mode):
    pixels = np.full((4, 5), 65535, np.uint16) if mode == "I;16" else grey(255)
    assert one(stored, Image.fromarray(pixels).convert(mode)).shape == (4, 5)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colour_modes(stored, mode):
    assert one(stored, Image.fromarray(colour(0)).convert(mode)).shape == (4, 5, 3)


def test_channels(stored):
    path = stored({"a/1.png": encoded(grey(7)), "b/1.png": encoded(colour(0))})
    X, _ = load_image_folder(path, channels=1, return_X_y=True)
    assert_array_equal(X[0], grey(7))
    luma = colour(0) @ [0.299, 0.587, 0.114]  # ITU-R 601-2
    assert_allclose(X[1], luma, atol=1)
    X, _ = load_image_folder(stored({"c/1.png": encoded(grey(9))}), channels=3, return_X_y=True)
    assert X.shape[1:] == (4, 5, 3)


# Parameters and Pillow


@pytest.mark.parametrize("size", [0, -1, (0, 3), (3, 3, 3), 2.5, (2.5, 3), "32", True, (), {3, 4}])
def test_invalid_sizes(size):
    with pytest.raises(ValueError, match=r"^size=.* is invalid\."):
        load_image_folder("nowhere", size=size)


def test_invalid_parameters():
    with pytest.raises(ValueError, match=r"^on_error='ignore' is invalid"):
        load_image_folder("nowhere", on_error="ignore")
    with pytest.raises(ValueError, match=r"^labelled='no' is invalid. Use True or False"):
        load_image_folder("nowhere", labelled="no")
    for n_jobs in (0, 1.5, "all"):
        with pytest.raises(ValueError, match=r"^n_jobs=.* is invalid. Use a number of threads, -1 or None"):
            load_image_folder("nowhere", n_jobs=n_jobs)


def test_without_pillow(tmp_path):
    code = (
        "import sys; sys.modules['PIL'] = None\n"
        "from skconvnet.data.folder import load_image_folder\n"
        "try: load_image_folder('nowhere')\n"
        "except ImportError as error: print(error)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found == "load_image_folder needs Pillow, which is not installed: pip install pillow\n"


def test_pillow_is_imported_when_it_is_needed():
    code = "import sys, skconvnet.data.folder; print('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
