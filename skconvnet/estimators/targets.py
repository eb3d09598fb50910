"""What the outputs of a network mean: classes, several labels, or numbers.

`Classes`, `Labels` and `Values` have the same methods. Estimators and fits ask them for everything in which these kinds
of targets differ.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import log_softmax
from sklearn.utils.multiclass import unique_labels

from skconvnet.data import check_two_classes, encode_labels, weigh_classes
from skconvnet.engine import SoftmaxCrossEntropy
from skconvnet.estimators.head import regress
from skconvnet.training.checkpoint import digest


@dataclass(frozen=True, eq=False)
class Classes:
    """Each image has one of several classes. The network computes a score for each class.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        The sorted labels.

    Attributes
    ----------
    metric, curve : str
        What the score of an epoch is called, and the attribute with the scores of all epochs.
    """

    classes: np.ndarray

    metric: ClassVar = "accuracy"
    curve: ClassVar = "accuracy_curve_"

    @classmethod
    def of(cls, y):
        """Return the classes that occur in checked labels."""
        return cls(unique_labels(y))

    @property
    def n_outputs(self):
        """The number of scores."""
        return len(self.classes)

    def attributes(self):
        """Return the fitted attributes that say what the outputs mean."""
        return {"classes_": self.classes}

    def problem(self):
        """Return the name of a wrong fitted attribute, which may come from a file, and what it has to be; or None."""
        if isinstance(self.classes, np.ndarray) and self.classes.ndim == 1 and len(self.classes) >= 2:
            return None
        return "classes_", "a 1d array of two or more labels"

    def resumed_with(self, other):
        """Return the kind with which `fit` resumes a network for this one; raise a ValueError if it cannot."""
        if isinstance(other, Classes) and np.array_equal(other.classes, self.classes):
            return self
        found = f"the classes {other.classes}" if isinstance(other, Classes) else "several labels for each image"
        raise ValueError(
            f"y has {found}, but warm_start=True resumes a network for the classes {self.classes}. Use "
            "warm_start=False, or the same classes."
        )

    def encode(self, y):
        """Return what the loss takes as targets: class indices."""
        if y.ndim != 1:
            raise ValueError(
                f"y has shape {y.shape}, several labels for each image, and the network is for the classes "
                f"{self.classes}. Pass one label for each image, or fit a new network."
            )
        return encode_labels(y, self.classes)

    def check_training(self, examples, indices):
        """Raise a ValueError if a network cannot be trained on these examples."""
        check_two_classes(examples, indices, self.classes)

    def weigh(self, examples, estimator):
        """Return the examples with the weights of their classes."""
        return weigh_classes(examples, estimator.class_weight, self.classes)

    def strata(self, targets):
        """Return the groups of which a validation set has equal parts; None if there are none."""
        return targets

    def loss(self, estimator):
        """Return the loss."""
        return SoftmaxCrossEntropy(estimator.label_smoothing)

    def identity(self, estimator):
        """Return what decides about the result of a fit, as in `fit_identity`."""
        return {
            "label_smoothing": float(estimator.label_smoothing),
            "the classes": digest(repr(self.classes.tolist())),
        }

    def validation_score(self, scores, examples):
        """Return the weighted score of validation data."""
        return float(np.average(scores.argmax(axis=1) == examples.targets, weights=examples.weights))

    def regress(self, features, targets, weights):
        """Return the regression that a new head begins as: see `skconvnet.estimators.head.regress`."""
        if len(np.unique(targets[weights > 0])) < 2:  # in the first call of partial_fit
            return None
        return regress(features, targets, weights, self.n_outputs)

    def decide(self, scores):
        """Return the values of `decision_function`."""
        return scores[:, 1] - scores[:, 0] if len(self.classes) == 2 else scores

    def predict(self, scores):
        """Return the most likely classes."""
        return self.classes[scores.argmax(axis=1)]

    def probabilities(self, scores):
        """Return the softmax of each row. SciPy's takes longer than all else in scoring one image."""
        powers = np.exp(scores - np.maximum.reduce(scores, axis=1, keepdims=True))
        return powers / np.add.reduce(powers, axis=1, keepdims=True)

    def log_probabilities(self, scores):
        """Return the logarithms of the probabilities."""
        return log_softmax(scores, axis=1)
