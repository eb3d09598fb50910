"""Convolutional networks as a scikit-learn citizen.

>>> from skconvnet import ConvNetClassifier
>>> ConvNetClassifier(F=5, K=[16, 32])
ConvNetClassifier(F=5, K=[16, 32])
"""

from skconvnet._classifier import ConvNetClassifier
from skconvnet._features import ConvNetFeatures
from skconvnet._image_folder import load_image_folder
from skconvnet._param_grid import valid_param_grid
from skconvnet._version import __version__ as __version__
from skconvnet._warmup import warmup
from skconvnet.architecture import ARCHITECTURES, Architecture, ArchitectureError, VolumeTable

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "ArchitectureError",
    "ConvNetClassifier",
    "ConvNetFeatures",
    "VolumeTable",
    "load_image_folder",
    "valid_param_grid",
    "warmup",
]
