"""The types that a file of a fitted estimator may contain."""

from skconvnet import architecture
from skconvnet.architecture.layers import LAYERS
from skconvnet.architecture.notation.tree import Branches, Layer, Repeat
from skconvnet.engine import OptimizerState
from skconvnet.estimators.classifier import ConvNetClassifier
from skconvnet.estimators.features import ConvNetFeatures
from skconvnet.estimators.regressor import ConvNetRegressor
from skconvnet.estimators.scoring import ScorerCache
from skconvnet.training import History, Plateau, TrainingState

_TYPES = (
    ConvNetClassifier,
    ConvNetFeatures,
    ConvNetRegressor,
    ScorerCache,
    OptimizerState,
    TrainingState,
    History,
    Plateau,
    architecture.Architecture,
    architecture.BoundArchitecture,
    architecture.Volume,
    *LAYERS,
    Branches,
    Layer,
    Repeat,
)

# For skops, which calls what a file names. A whole package is never trusted: some of its functions take addresses.
TRUSTED_TYPES = frozenset(f"{one.__module__}.{one.__qualname__}" for one in _TYPES)
