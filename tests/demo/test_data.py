"""What the page of the demo is made from."""

import pytest

from skconvnet.architecture import ArchitectureError
from skconvnet.demo import convolution_page


def test_the_demo_takes_grey_images_and_refuses_texts():
    assert convolution_page((5, 5), K=1, S=1) == convolution_page((5, 5, 1), K=1, S=1)
    with pytest.raises(ArchitectureError, match=r"image_shape must be \(height, width, channels\)"):
        convolution_page("5x5x1")
