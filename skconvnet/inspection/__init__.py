"""Inspection: networks, their training and what they make of images, as arrays and as pictures."""

from skconvnet.inspection.activations import ActivationsDisplay
from skconvnet.inspection.architecture import ArchitectureDisplay
from skconvnet.inspection.augmentation import AugmentationDisplay, augmented_images
from skconvnet.inspection.curves import TrainingCurvesDisplay
from skconvnet.inspection.filters import FiltersDisplay
from skconvnet.inspection.saliency import SaliencyDisplay, grad_cam, saliency
from skconvnet.inspection.score_map import ScoreMapDisplay
from skconvnet.inspection.search import Candidate, SearchDisplay, search_candidates

__all__ = [
    "ActivationsDisplay",
    "ArchitectureDisplay",
    "AugmentationDisplay",
    "Candidate",
    "FiltersDisplay",
    "SaliencyDisplay",
    "ScoreMapDisplay",
    "SearchDisplay",
    "TrainingCurvesDisplay",
    "augmented_images",
    "grad_cam",
    "saliency",
    "search_candidates",
]
