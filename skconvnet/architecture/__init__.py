"""The notation, the volume arithmetic, and the architectures: what a network is before any number flows through it."""

from skconvnet.architecture.advice import Advice
from skconvnet.architecture.architecture import Architecture, BoundArchitecture
from skconvnet.architecture.case_studies import CASE_STUDIES, CaseStudy
from skconvnet.architecture.errors import ArchitectureError
from skconvnet.architecture.hyperparameters import HYPERPARAMETERS, Hyperparameters
from skconvnet.architecture.layers.base import (
    BoundConv,
    BoundDropout,
    BoundFC,
    BoundLayer,
    BoundNorm,
    BoundPool,
    BoundRelu,
    BoundSigmoid,
    BoundSkip,
    BoundStack,
    BoundSum,
    BoundTanh,
    Volume,
    output_extent,
    walk,
)
from skconvnet.architecture.summary import VolumeTable
from skconvnet.architecture.zoo import ARCHITECTURES, auto_architecture, find_architecture

__all__ = [
    "ARCHITECTURES",
    "CASE_STUDIES",
    "HYPERPARAMETERS",
    "Advice",
    "Architecture",
    "ArchitectureError",
    "BoundArchitecture",
    "BoundConv",
    "BoundDropout",
    "BoundFC",
    "BoundLayer",
    "BoundNorm",
    "BoundPool",
    "BoundRelu",
    "BoundSigmoid",
    "BoundSkip",
    "BoundStack",
    "BoundSum",
    "BoundTanh",
    "CaseStudy",
    "Hyperparameters",
    "Volume",
    "VolumeTable",
    "auto_architecture",
    "find_architecture",
    "output_extent",
    "walk",
]
