"""Lists of files, further images like those of a folder, and images that are decoded while they are used."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import cross_val_predict, train_test_split

from skconvnet import ConvNetClassifier, ConvNetFeatures, load_image_folder
from skconvnet.data.image_files import ImageFiles
from skconvnet.training.checkpoint import digest
from tests.data.image_files import Image, colour, encoded, grey
from tests.estimators.quick import refused, same_network

SMALL = {"architecture": "INPUT -> CONV(K=4) -> RELU -> POOL -> FC", "max_iter": 2, "random_state": 0, "n_jobs": 1}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A directory with 40 photographs of 8 x 8 pixels in two classes."""
    path = tmp_path_factory.mktemp("photos")
    for seed in range(40):
        file = path / ("cat" if seed % 2 else "dog") / f"{seed:02}.png"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(encoded(colour(seed, 8, 8) // (1 + seed % 2)))
    return path


# Lists of files


def test_a_list_of_files_keeps_its_order_and_labels(photos):
    files = [photos / "dog" / "04.png", str(photos / "cat" / "03.png"), photos / "dog" / "04.png"]
    folder = load_image_folder(files, labels=["x", "y", "x"])
    assert_array_equal(folder.data, [colour(4, 8, 8), colour(3, 8, 8) // 2, colour(4, 8, 8)])
    assert folder.target.tolist() == ["x", "y", "x"]
    assert folder.target_names == ["x", "y"]
    assert folder.filenames.tolist() == list(map(str, files))
    X, y = load_image_folder(files, labels=np.array([1, 0, 1]), return_X_y=True)
    assert (len(X), y.tolist()) == (3, [1, 0, 1])
    assert "target" not in load_image_folder(files, labelled=False)


def test_a_broken_file_of_a_list_is_left_out_with_its_label(photos, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    files = [photos / "dog" / "00.png", broken, photos / "cat" / "01.png"]
    with pytest.warns(UserWarning, match=r"broken\.png' cannot be read as an image: .* It is left out"):
        folder = load_image_folder(files, labels=list("abc"), on_error="warn")
    assert folder.target.tolist() == ["a", "c"]
    with refused("broken.png' cannot be read as an image"):
        load_image_folder(files, labels=list("abc"))
    with refused("nowhere.png' cannot be read as an image"):
        load_image_folder(["nowhere.png"], labelled=False)


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        (["a.png"], {}, "A list of files has no folders with the names of classes. Pass labels, or labelled=False."),
        (["a.png"], {"labels": [0, 1]}, "load_image_folder got 1 files and 2 labels."),
        (["a.png"], {"labels": [0], "labelled": False}, "load_image_folder got labelled=False"),
        ([], {"labels": []}, "path is an empty list"),
        (["tests", "docs"], {}, "path is a list with the directory 'tests'. Pass a directory, or a list of files."),
        (5, {"labelled": False}, "path has the type int. Pass a directory"),
        (np.zeros((2, 4, 4)), {"labelled": False}, "path has the type ndarray"),
        (["a.png"], {"labels": "a"}, "labels='a' is one label. Pass a list"),
        (["a.png", "b.png"], {"labels": ["a", None]}, "y contains None at y[1]. Every image needs a label"),
        (".", {"labels": [0]}, "labels are for a list of files."),
        (".", {"lazy": 2}, "lazy=2 is invalid"),
        (".", {"lazy": True, "on_error": "warn"}, "lazy=True does not know which files cannot be read"),
    ],
)
def test_lists_and_options_that_do_not_fit_are_refused(path, options, message):
    with refused(message):
        load_image_folder(path, **options)


# Further images in the same form


def test_other_images_get_the_form_of_the_first_ones(photos):
    folder = load_image_folder(photos, size=(4, 6), channels=1, crop="center")
    assert_array_equal(folder.load(photos), folder.data)
    one = photos / "cat" / "03.png"
    index = folder.filenames.tolist().index("cat/03.png")
    assert_array_equal(folder.load(one), folder.data[index : index + 1])
    assert_array_equal(folder.load([str(one), one]), folder.data[[index, index]])
    assert_array_equal(pickle.loads(pickle.dumps(folder)).load(one), folder.load(one))
    with pytest.warns(UserWarning, match=r"missing.png' cannot be read as an image: .* It is left out."):
        assert len(folder.load([one, "missing.png"], on_error="warn")) == 1


@pytest.mark.parametrize("on_error", ["raise", "warn"])
def test_another_image_that_does_not_exist(photos, on_error):
    folder = load_image_folder(photos, size=4)
    with pytest.raises(FileNotFoundError, match=r"'missing.png' does not exist. Pass a file, a list of files, a"):
        folder.load("missing.png", on_error=on_error)


def test_the_colour_of_the_first_images_is_kept_and_their_size_if_none_was_given(tmp_path):
    images = {"a/1.png": colour(0), "b/1.png": grey(9), "other/grey.png": grey(7), "other/large.png": grey(7, 9, 9)}
    for name, pixels in images.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encoded(pixels))
    folder = load_image_folder([tmp_path / "a" / "1.png", tmp_path / "b" / "1.png"], labelled=False)
    assert folder.load(tmp_path / "other" / "grey.png").shape == (1, 4, 5, 3)
    with refused("The images have 9 x 9 pixels, and those that were loaded before have 4 x 5 (height x width). Load"):
        folder.load(tmp_path / "other" / "large.png")


# Images that are decoded while they are used


def test_files_have_the_bits_of_the_array_in_fit_and_in_prediction(photos):
    X, y = load_image_folder(photos, return_X_y=True)
    files, labels = load_image_folder(photos, lazy=True, return_X_y=True)
    assert (type(files), files.shape, files.dtype, labels.tolist()) == (ImageFiles, X.shape, np.uint8, y.tolist())
    for options in ({"early_stopping": True}, {"augment": ["flip"]}):
        dense, streamed = (ConvNetClassifier(**SMALL, **options).fit(images, y) for images in (X, files))
        assert same_network(dense, streamed)
    assert_array_equal(dense.predict_proba(X), streamed.predict_proba(files))
    features = ConvNetFeatures(FrozenEstimator(dense), layer="POOL 1")
    assert_array_equal(features.fit(X).transform(X), features.transform(files))
    validated = ConvNetClassifier(**SMALL).fit(files, y, X_val=files, y_val=y)
    assert validated.validation_scores_[-1] == validated.score(X, y)


def test_a_checkpoint_of_files_is_one_of_their_array(photos, tmp_path):
    X, y = load_image_folder(photos, return_X_y=True)
    files = load_image_folder(photos, lazy=True).data
    assert digest(files) == digest(X) != digest(files[1:])
    options = SMALL | {"checkpoint": tmp_path / "fit.ckpt"}
    first, resumed = (ConvNetClassifier(**options).fit(images, y) for images in (files, X))
    assert same_network(first, resumed)


def test_another_process_decodes_files(photos):
    files = load_image_folder(photos, lazy=True).data
    script = "import pickle, sys; print(pickle.load(sys.stdin.buffer)[3].tolist())"
    done = subprocess.run([sys.executable, "-c", script], input=pickle.dumps(files), capture_output=True, check=True)
    assert done.stdout.decode().strip() == str(files[3].tolist())


def test_files_of_few_bits_are_noticed_at_once(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path, value in zip(paths, (1000, 4095, 2000), strict=True):
        Image.fromarray(np.full((4, 4), value, np.uint16)).save(path)
    with pytest.warns(UserWarning, match="no value above 4095, which needs 12") as warned:
        load_image_folder(paths, labelled=False, lazy=True)
    assert [warning.filename for warning in warned] == [__file__]
    Image.fromarray(np.full((4, 4), 60000, np.uint16)).save(paths[2])
    load_image_folder(paths, labelled=False, lazy=True)


def test_few_images_are_decoded_at_a_time(photos, monkeypatch):
    """The engine reads 2**20 pixels or 8 MiB of float32 at a time, whatever the number of files is."""
    file = photos / "cat" / "01.png"
    files = load_image_folder([file] * 300, labels=[0, 1] * 150, size=128, lazy=True)
    most, read = [], ImageFiles.read
    monkeypatch.setattr(ImageFiles, "read", lambda self, indices: most.append(len(indices)) or read(self, indices))
    classifier = ConvNetClassifier("INPUT -> POOL(F=16, S=16) -> FC", max_iter=1, n_jobs=1, random_state=0)
    classifier.fit(files.data, files.target).predict(files.data)
    assert sum(most) >= 3 * 300  # the statistics, one epoch, the predictions
    assert max(most) <= 2**20 // (128 * 128 * 3) * 2


def test_parts_of_the_files_keep_their_names(photos):
    folder = load_image_folder(photos, channels=3, lazy=True)
    assert folder.data.filenames.tolist() == folder.filenames.tolist()
    assert folder.data[[3, 1]].filenames.tolist() == folder.filenames[[3, 1]].tolist()
    assert repr(folder.data[:2]) == "ImageFiles of shape (2, 8, 8, 3)"


def test_parts_of_the_files_are_not_read(photos, monkeypatch):
    X, y = load_image_folder(photos, return_X_y=True)
    files = load_image_folder(photos, lazy=True, channels=3).data
    with monkeypatch.context() as patch:
        patch.setattr(ImageFiles, "read", lambda *_: pytest.fail("it is read"))
        train, test, _, _ = train_test_split(files, y, random_state=0)
        parts = [files[3:9], files[np.array([5, 1])], files[::2], files[y == "cat"]]
    expected = train_test_split(X, y, random_state=0)
    expected = *expected[:2], X[3:9], X[[5, 1]], X[::2], X[y == "cat"]
    for part, pixels in zip((train, test, *parts), expected, strict=True):
        assert isinstance(part, ImageFiles)
        assert_array_equal(part.read(np.arange(len(part))), pixels)
    assert_array_equal(files[7], X[7])
    assert_array_equal(files[3:][::-2][1:][2], X[3:][::-2][1:][2])
    assert_array_equal(pickle.loads(pickle.dumps(files))[-1], X[-1])
    classifier = ConvNetClassifier(**SMALL)
    assert_array_equal(cross_val_predict(classifier, files, y, cv=2), cross_val_predict(classifier, X, y, cv=2))


def test_a_file_that_breaks_later_is_an_error_that_names_it(tmp_path):
    for name, pixels in (("a/1.png", grey(1)), ("b/2.png", grey(2)), ("b/3.png", grey(2, 9, 9))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encoded(pixels))
    files = load_image_folder(tmp_path, lazy=True).data
    assert files.shape == (3, 4, 5)
    with refused("Images differ in size: 'b/3.png' has 9 x 9 pixels, and the first one 4 x 5 (height x width)."):
        files.read(np.arange(3))
    (tmp_path / "b" / "2.png").write_bytes(b"no image")
    with refused("'b/2.png' cannot be read as an image: it is in no format that is read"):
        files[1]
    (tmp_path / "a" / "1.png").write_bytes(b"no image")
    with refused("'a/1.png' cannot be read as an image"):
        load_image_folder(tmp_path, lazy=True)


def test_an_archive_is_not_read_lazily(tmp_path):
    (tmp_path / "photos.zip").write_bytes(b"")
    with refused("Unpack it, and pass the directory."):
        load_image_folder(tmp_path / "photos.zip", lazy=True)
