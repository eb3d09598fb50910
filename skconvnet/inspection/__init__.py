"""Inspection: what a fit sees, as arrays and as pictures."""

from skconvnet.inspection.augmentation import AugmentationDisplay, augmented_images

__all__ = ["AugmentationDisplay", "augmented_images"]
