"""Inspection: what a fit sees, as arrays and as pictures."""

from skconvnet.inspection.architecture import ArchitectureDisplay
from skconvnet.inspection.augmentation import AugmentationDisplay, augmented_images

__all__ = ["ArchitectureDisplay", "AugmentationDisplay", "augmented_images"]
