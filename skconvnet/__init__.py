"""Convolutional networks as a scikit-learn citizen.

>>> from skconvnet import ConvNetClassifier
>>> ConvNetClassifier(F=5, K=[16, 32])
ConvNetClassifier(F=5, K=[16, 32])
"""

from skconvnet._version import __version__ as __version__
from skconvnet.architecture import ARCHITECTURES, Architecture, ArchitectureError, VolumeTable
from skconvnet.data.folder import load_image_folder
from skconvnet.data.image_file import load_image
from skconvnet.engine.warmup import warmup
from skconvnet.estimators.classifier import ConvNetClassifier
from skconvnet.estimators.converters import register_skl2onnx
from skconvnet.estimators.exchange import load_network, save_network
from skconvnet.estimators.features import ConvNetFeatures
from skconvnet.estimators.regressor import ConvNetRegressor
from skconvnet.model_selection import find_learning_rate, valid_param_grid

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "ArchitectureError",
    "ConvNetClassifier",
    "ConvNetFeatures",
    "ConvNetRegressor",
    "VolumeTable",
    "find_learning_rate",
    "load_image",
    "load_image_folder",
    "load_network",
    "register_skl2onnx",
    "save_network",
    "valid_param_grid",
    "warmup",
]
