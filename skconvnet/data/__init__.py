"""Check and convert what a user passes to an estimator: images, labels and weights."""

from skconvnet.data.examples import (
    LabelledImages,
    check_examples,
    check_images_and_labels,
    check_images_and_numbers,
    check_two_classes,
    hold_out,
)
from skconvnet.data.guesses import doubt_about_images
from skconvnet.data.images import advice_on_channels, check_image_shape, check_images, check_larger_images
from skconvnet.data.labels import check_labels, convert_labels, encode_labels, unite_labels
from skconvnet.data.weights import check_class_weight, check_sample_weight, weigh_classes

__all__ = [
    "LabelledImages",
    "advice_on_channels",
    "check_class_weight",
    "check_examples",
    "check_image_shape",
    "check_images",
    "check_images_and_labels",
    "check_images_and_numbers",
    "check_labels",
    "check_larger_images",
    "check_sample_weight",
    "check_two_classes",
    "convert_labels",
    "doubt_about_images",
    "encode_labels",
    "hold_out",
    "unite_labels",
    "weigh_classes",
]
