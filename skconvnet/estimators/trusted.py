"""The types that a file of a fitted estimator may contain."""

from skconvnet import architecture
from skconvnet.architecture.notation.parser import Branches, Layer, Repeat
from skconvnet.engine import OptimizerState
from skconvnet.estimators.classifier import ConvNetClassifier
from skconvnet.estimators.features import ConvNetFeatures
from skconvnet.estimators.scoring import ScorerCache

_TYPES = (
    ConvNetClassifier,
    ConvNetFeatures,
    ScorerCache,
    OptimizerState,
    architecture.Architecture,
    architecture.BoundArchitecture,
    architecture.Volume,
    architecture.BoundConv,
    architecture.BoundDropout,
    architecture.BoundFC,
    architecture.BoundNorm,
    architecture.BoundPool,
    architecture.BoundRelu,
    architecture.BoundSigmoid,
    architecture.BoundSkip,
    architecture.BoundStack,
    architecture.BoundSum,
    architecture.BoundTanh,
    Branches,
    Layer,
    Repeat,
)

# For skops, which calls what a file names. A whole package is never trusted: some of its functions take addresses.
TRUSTED_TYPES = frozenset(f"{one.__module__}.{one.__qualname__}" for one in _TYPES)
