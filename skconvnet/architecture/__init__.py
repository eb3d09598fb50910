"""The notation, the layers with their volumes, and the architectures. Nothing here computes with arrays."""

from skconvnet.architecture.advice import Advice
from skconvnet.architecture.architecture import Architecture, BoundArchitecture
from skconvnet.architecture.case_studies import CASE_STUDIES, CaseStudy
from skconvnet.architecture.effects import too_large_filters, without_effect
from skconvnet.architecture.errors import ArchitectureError
from skconvnet.architecture.hyperparameters import HYPERPARAMETERS, Hyperparameters
from skconvnet.architecture.layers.arithmetic import Volume
from skconvnet.architecture.layers.branches import walk
from skconvnet.architecture.published import PUBLISHED
from skconvnet.architecture.summary import VolumeTable
from skconvnet.architecture.zoo import ARCHITECTURES, auto_architecture, find_architecture, find_study, is_auto

__all__ = [
    "ARCHITECTURES",
    "CASE_STUDIES",
    "HYPERPARAMETERS",
    "PUBLISHED",
    "Advice",
    "Architecture",
    "ArchitectureError",
    "BoundArchitecture",
    "CaseStudy",
    "Hyperparameters",
    "Volume",
    "VolumeTable",
    "auto_architecture",
    "find_architecture",
    "find_study",
    "is_auto",
    "too_large_filters",
    "walk",
    "without_effect",
]
