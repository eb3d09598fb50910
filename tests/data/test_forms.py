"""What is passed as images: what becomes one array, and what to pass instead of anything else."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.utils import Bunch

from skconvnet import ConvNetClassifier
from skconvnet.data import check_images_and_labels
from skconvnet.data.forms import as_one_array
from tests.estimators.quick import refused

IMAGES = np.arange(2 * 8 * 8).reshape(2, 8, 8)
OF_ARRAYS = np.array([np.zeros(4), None, np.zeros(4)], object)[[0, 2]]


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ("digits.png", "X contains the file name 'digits.png'. Read images with load_image_folder."),
        (["1.png", "2.png"], "X contains the file name '1.png'"),
        (np.array(["1.png", "2.png"]), "X contains the file name '1.png'"),
        ([Path("1.png")], "X contains the file name '1.png'"),
        (np.array([["1.png"], ["2.png"]]), "X[:, 0] has the text '1.png', and pixels are numbers."),
        (np.array([[1, "2.png"]], object), "read them with load_image_folder(list(X[:, 1]), labels=y)."),
        ([np.zeros((8, 8)), np.zeros((8, 9))], "X has images of shapes (8, 8) and (8, 9), as X[0] and X[1]. Resize or"),
        ([*IMAGES, IMAGES[0, :5].tolist()], "X has images of shapes (8, 8) and (5, 8), as X[0] and X[2]. Resize or"),
        ([[1, 2], [3]], "X[0] has 2 features and X[1] has 1. Pass rows of one length."),
        ([[[1, 2], [3]], [[1], [2]]], "X[0] has rows of different lengths."),
        ([(IMAGES[0], 1), (IMAGES[1], 0)], "X[0] is an image with its label. Pass them apart, as in images, labels ="),
        ([(IMAGES[0][0], 1), (IMAGES[1][0], 0)], "X[0] is an image with its label."),
        ([([[1, 2], [3]], 1)], "X[0] has rows of different lengths."),
        ([IMAGES[0], None], "X[1] is None, which is no image."),
        (OF_ARRAYS, "X is of type ndarray and has arrays. Pass np.stack(X)"),
        (OF_ARRAYS[:, None], "X[:, 0] has arrays. Pass np.stack(X[:, 0])"),
        (Bunch(data=IMAGES), "X is a Bunch, which is no array of images. Pass X.data, the images in it."),
        (
            {"images": IMAGES},
            "X is a dict, which is no array of images. Pass an array or a list of images of one size.",
        ),
        ((image for image in IMAGES), "X is a generator, which is no array of images. Pass an array or a list"),
        (None, "X is None. Pass images of shape"),
    ],
)
def test_what_is_no_array_is_refused_with_what_to_pass(X, message):
    with refused(message):
        check_images_and_labels(ConvNetClassifier(), X, [0, 1], None, reset=True)


def test_columns_of_a_data_frame():
    pandas = pytest.importorskip("pandas")
    with refused("X['image'] has arrays. Pass np.stack(X['image']), one array of all the images."):
        as_one_array(pandas.DataFrame({"image": list(IMAGES)}))
    with refused("X['file'] has the text 'a.png', and pixels are numbers. Leave out columns of text. If these are"):
        as_one_array(pandas.DataFrame({"pixel": [1, 2], "file": ["a.png", "b.png"]}))
    with refused("X is of type Series and has arrays. Pass np.stack(X)"):
        as_one_array(pandas.Series(list(IMAGES)))
    for frame in (pandas.DataFrame(np.eye(4)), pandas.DataFrame([["1", 2]])):
        assert as_one_array(frame) is frame


def test_pictures_of_pillow():
    image = pytest.importorskip("PIL.Image")
    pictures = [image.new("RGB", (width, 8)) for width in (8, 8, 9)]
    assert as_one_array(pictures[:2]).shape == (2, 8, 8, 3)
    with refused("X has images of shapes (8, 8, 3) and (8, 9, 3), as X[0] and X[2]."):
        as_one_array(pictures)
    with refused("X is a single image, of type Image. Pass a list of images, such as [X]."):
        as_one_array(pictures[0])


def test_a_sparse_matrix_that_is_a_dictionary_is_one_array():
    X = sparse.dok_matrix(np.eye(4))
    assert as_one_array(X) is X


def test_numbers_in_text_are_converted_as_scikit_learn_does():
    texts = np.array([["1", "2.5"], ["3", "4"]], object)
    X, _ = check_images_and_labels(ConvNetClassifier(), texts, [0, 1], None, reset=True)
    assert_array_equal(X.pixels, texts.astype(float))
