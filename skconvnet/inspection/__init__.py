"""Inspection: what a fit sees, as arrays and as pictures."""

from skconvnet.inspection.activations import ActivationsDisplay
from skconvnet.inspection.architecture import ArchitectureDisplay
from skconvnet.inspection.augmentation import AugmentationDisplay, augmented_images
from skconvnet.inspection.curves import TrainingCurvesDisplay
from skconvnet.inspection.filters import FiltersDisplay

__all__ = [
    "ActivationsDisplay",
    "ArchitectureDisplay",
    "AugmentationDisplay",
    "FiltersDisplay",
    "TrainingCurvesDisplay",
    "augmented_images",
]
