"""What the page of the demo is made from."""

import numpy as np
import pytest

from skconvnet.architecture import ArchitectureError
from skconvnet.demo import convolution_page


def test_the_demo_takes_grey_images_and_refuses_texts():
    assert convolution_page((5, 5), K=1, S=1) == convolution_page((5, 5, 1), K=1, S=1)
    with pytest.raises(ArchitectureError, match=r"image_shape must be \(height, width, channels\)"):
        convolution_page("5x5x1")


def test_the_demo_takes_the_numbers_of_numpy():
    assert convolution_page(np.array((7, 7, 3)), K=np.int64(2)) == convolution_page()
    with pytest.raises(ArchitectureError, match="in the demo, K must be a whole number from 1 to 8, got True"):
        convolution_page(K=True)
