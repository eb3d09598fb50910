"""What displays are made from."""

import re

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from skconvnet import ConvNetClassifier
from skconvnet.architecture import ArchitectureError
from skconvnet.inspection import (
    ActivationsDisplay,
    ArchitectureDisplay,
    FiltersDisplay,
    SaliencyDisplay,
    ScoreMapDisplay,
    SearchDisplay,
    TrainingCurvesDisplay,
)
from skconvnet.inspection.network import check_one_image

WITH_IMAGES = [ActivationsDisplay, SaliencyDisplay, ScoreMapDisplay]
OF_NETWORKS = [ArchitectureDisplay, FiltersDisplay, TrainingCurvesDisplay, *WITH_IMAGES]


@pytest.mark.parametrize("display", OF_NETWORKS, ids=lambda display: display.__name__)
@pytest.mark.parametrize(
    ("estimator", "came"),
    [
        (SVC(), "an object of class SVC"),
        (make_pipeline(ConvNetClassifier()), "an object of class Pipeline"),
        (ConvNetClassifier, r"the class ConvNetClassifier: make an object, ConvNetClassifier\(...\)"),
    ],
    ids=["SVC", "Pipeline", "class"],
)
def test_what_is_no_network_is_refused_with_what_to_pass(display, estimator, came):
    images = [[[[0]]]] if display in WITH_IMAGES else []
    with pytest.raises(TypeError, match=f"ConvNetRegressor is needed, got {came}. Of a Pipeline, pass the last step"):
        display.from_estimator(estimator, *images)


def test_what_is_no_search_is_refused():
    with pytest.raises(TypeError, match="A search such as GridSearchCV is needed, got a ConvNetClassifier"):
        SearchDisplay.from_search(ConvNetClassifier())


@pytest.mark.parametrize("text", [None, 42])
def test_what_is_no_text_is_refused(text):
    with pytest.raises(ArchitectureError, match=f"an architecture is a text, a name or an Architecture, got {text}"):
        ArchitectureDisplay.from_text(text, (8, 8))


def test_an_image_with_rows_of_different_lengths_is_refused_with_what_to_pass():
    with pytest.raises(ValueError, match=r"image has rows of different lengths\. Pass one image, an array of shape"):
        check_one_image([[1, 2], [3]])


@pytest.mark.parametrize("shape", [(1, 64), (7, 64), (1, 8, 8)])
def test_several_images_are_told_from_one(shape):
    with pytest.raises(ValueError, match=re.escape(f"image has the shape {shape}. Pass one image")):
        check_one_image(np.zeros(shape), image_shape=(8, 8, 1))


@pytest.mark.parametrize("shape", [(8, 8), (8, 64), (40, 64), (8, 8, 1)])
def test_an_image_as_wide_as_a_row_of_pixels_is_one(shape):
    assert check_one_image(np.zeros(shape), image_shape=(8, 8, 1)).shape == shape
