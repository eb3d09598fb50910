"""What the outputs of a network mean: classes, several labels, or numbers.

`Classes`, `Labels` and `Values` have the same methods. Estimators and fits ask them for everything in which these kinds
of targets differ.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit, log_expit, log_softmax
from sklearn.utils.multiclass import unique_labels

from skconvnet.data import check_two_classes, encode_labels, weigh_classes
from skconvnet.engine import AbsoluteError, Huber, SigmoidCrossEntropy, SoftmaxCrossEntropy, SquaredError
from skconvnet.estimators.head import regress, regress_numbers
from skconvnet.training.checkpoint import digest

_FAR = 20  # deviations of the mean, and times the deviation, from which on numbers have another scale
_ALIKE = 0.01  # of the deviation of all numbers: that of the others beside an outlier
_SEVERAL = 10  # images, of which not all are small by chance


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
    needs_straight_head : bool
        Whether no activation may follow a head that begins as a regression. Of classes only differences count.
    gain : float
        That of the first weights: see `Network.initialise`.
    """

    classes: np.ndarray

    metric: ClassVar = "accuracy"
    curve: ClassVar = "accuracy_curve_"
    needs_straight_head: ClassVar = False
    gain: ClassVar = 1.0

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
        return {"classes_": self.classes, "multilabel_": False}

    def standardisation(self):
        """Return how targets are standardised, as `StoredNetwork` has it."""
        return {}

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

    def encode(self, y, weights):
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

    def doubt(self, y, weights):
        """Return what a user should know about y before a fit; None if there is nothing."""
        return None

    def doubt_about_scale(self, examples):
        """Return None: classes have no scale."""

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


@dataclass(frozen=True, eq=False)
class Labels:
    """Each image has any number of several labels. The network computes a score for each label.

    Parameters
    ----------
    labels : ndarray of int64, shape (n_outputs,)
        The columns of y: 0, 1, 2 and so on.

    Attributes
    ----------
    metric, curve, needs_straight_head, gain
        As `Classes`.
    """

    labels: np.ndarray

    classes: ClassVar = None  # a pretrained head of theirs is of no use for other images
    metric: ClassVar = "accuracy"
    curve: ClassVar = "accuracy_curve_"
    needs_straight_head: ClassVar = True
    gain: ClassVar = 1.0

    @classmethod
    def of(cls, y):
        """Return the labels of checked indicators."""
        return cls(np.arange(y.shape[1]))

    @property
    def n_outputs(self):
        """The number of scores."""
        return len(self.labels)

    def attributes(self):
        """Return the fitted attributes that say what the outputs mean."""
        return {"classes_": self.labels, "multilabel_": True}

    def standardisation(self):
        """Return how targets are standardised, as `StoredNetwork` has it."""
        return {}

    def problem(self):
        """Return the name of a wrong fitted attribute, which may come from a file, and what it has to be; or None."""
        return Classes(self.labels).problem()

    def resumed_with(self, other):
        """Return the kind with which `fit` resumes a network for this one; raise a ValueError if it cannot."""
        if isinstance(other, Labels) and other.n_outputs == self.n_outputs:
            return self
        found = f"{other.n_outputs} labels" if isinstance(other, Labels) else "one label for each image"
        raise ValueError(
            f"y has {found}, but warm_start=True resumes a network for {self.n_outputs} labels. Use warm_start=False, "
            f"or an indicator matrix with {self.n_outputs} columns."
        )

    def encode(self, y, weights):
        """Return what the loss takes as targets: 1.0 where an image has a label, else 0.0."""
        if y.ndim != 2 or y.shape[1] != self.n_outputs:
            raise ValueError(
                f"y has shape {y.shape}, and the network is for {self.n_outputs} labels. Pass an indicator matrix of "
                f"shape (n, {self.n_outputs}), or fit a new network."
            )
        return y.astype(np.float32)

    def check_training(self, examples, indices):
        """Accept all examples: a label that no image has, or every one, can be learned."""

    def weigh(self, examples, estimator):
        """Return the examples; raise a ValueError if classes have weights."""
        if estimator.class_weight is not None:
            raise ValueError(
                "class_weight weighs classes of which each image has one, and y has several labels for an image. Use "
                "class_weight=None, and weigh images by sample_weight."
            )
        return examples

    def doubt(self, y, weights):
        """Return what a user should know about y before a fit; None if there is nothing."""
        if (y.sum(axis=1) == 1).all():
            return (
                "y has a single 1 in every row. It is fitted as several labels, each with a probability of its own. If "
                "every image has one class, pass np.argmax(y, axis=1): one class of several is learned better."
            )
        return None

    def doubt_about_scale(self, examples):
        """Return None: classes have no scale."""

    def strata(self, targets):
        """Return None: combinations of labels may be too many to split them alike."""

    def loss(self, estimator):
        """Return the loss."""
        return SigmoidCrossEntropy(estimator.label_smoothing)

    def identity(self, estimator):
        """Return what decides about the result of a fit, as in `fit_identity`."""
        return {"label_smoothing": float(estimator.label_smoothing), "number of labels": self.n_outputs}

    def validation_score(self, scores, examples):
        """Return the weighted part of the images of which all labels are right."""
        is_right = ((scores > 0) == (examples.targets > 0)).all(axis=1)
        return float(np.average(is_right, weights=examples.weights))

    def regress(self, features, targets, weights):
        """Return the regressions, one for each label, that a new head begins as."""
        coef, intercept = np.zeros((features.shape[1], self.n_outputs)), np.zeros(self.n_outputs)
        for number, target in enumerate(targets.T.astype(np.int64)):
            if len(np.unique(target[weights > 0])) == 2:
                slopes, offsets = regress(features, target, weights, 2)
                coef[:, number], intercept[number] = slopes[:, 1] - slopes[:, 0], offsets[1] - offsets[0]
        return coef, intercept

    def decide(self, scores):
        """Return the values of `decision_function`."""
        return scores

    def predict(self, scores):
        """Return an indicator matrix of the labels with a probability above 1/2."""
        return (scores > 0).astype(np.int64)

    def probabilities(self, scores):
        """Return the sigmoid of each score."""
        return expit(scores)

    def log_probabilities(self, scores):
        """Return the logarithms of the probabilities."""
        return log_expit(scores)


@dataclass(frozen=True, eq=False)
class Values:
    """Each image has one or several numbers. The network computes them, standardised.

    Parameters
    ----------
    mean, scale : ndarray of float64, shape (n_outputs,)
        The mean and the deviation of each output in the training data; the scale of a constant output is 1.

    Attributes
    ----------
    metric, curve, needs_straight_head, gain
        As `Classes`.
    """

    mean: np.ndarray
    scale: np.ndarray

    classes: ClassVar = None  # a pretrained head of theirs is of no use for other numbers
    metric: ClassVar = "R2"
    curve: ClassVar = "r2_curve_"
    needs_straight_head: ClassVar = True
    gain: ClassVar = 2e-5  # with larger first weights, a network of numbers overfits; a 6-layer network gets 1/3

    @classmethod
    def of(cls, y, weights):
        """Return the mean and scale of checked numbers, float64 of shape (n, n_outputs)."""
        y, weights = y[weights > 0], weights[weights > 0]
        # A power of two changes no bit of the result. With it, no square is infinite or 0.
        unit = np.ldexp(1.0, np.frexp(np.abs(y).max(axis=0))[1] - 1)
        y = y / unit
        mean = np.average(y, axis=0, weights=weights)
        scale = np.sqrt(np.average((y - mean) ** 2, axis=0, weights=weights))
        is_constant = (scale <= 1e-12 * np.abs(mean)) | (scale * unit == 0)
        return cls(mean * unit, np.where(is_constant, 1.0, scale * unit))

    @property
    def n_outputs(self):
        """The number of outputs."""
        return len(self.mean)

    def attributes(self):
        """Return the fitted attributes that say what the outputs mean."""
        return {"target_mean_": self.mean, "target_scale_": self.scale, "n_outputs_": self.n_outputs}

    def standardisation(self):
        """Return how targets are standardised, as `StoredNetwork` has it."""
        return {"target_mean": self.mean, "target_scale": self.scale}

    def problem(self):
        """Return the name of a wrong fitted attribute, which may come from a file, and what it has to be; or None."""
        for name, numbers in (("target_mean_", self.mean), ("target_scale_", self.scale)):
            is_vector = isinstance(numbers, np.ndarray) and numbers.dtype == np.float64 and numbers.ndim == 1
            if not (is_vector and len(numbers) and np.isfinite(numbers).all()):
                return name, "a 1d array of finite float64"
        if len(self.mean) != len(self.scale) or not (self.scale > 0).all():
            return "target_scale_", "an array of positive numbers, one for each of target_mean_"
        return None

    def resumed_with(self, other):
        """Return the kind with which `fit` resumes a network for this one: its mean and scale stay."""
        if other.n_outputs != self.n_outputs:
            raise ValueError(
                f"y has {other.n_outputs} outputs, but warm_start=True resumes a network with {self.n_outputs}. Use "
                "warm_start=False, or the same outputs."
            )
        return self

    def encode(self, y, weights):
        """Return what the loss takes as targets: the standardised numbers; 0 for images without weight."""
        if y.shape[1] != self.n_outputs:
            raise ValueError(
                f"y has {y.shape[1]} outputs, and the network has {self.n_outputs}. Pass as many numbers for each "
                "image, or fit a new network."
            )
        with np.errstate(over="ignore"):
            targets = np.where(weights[:, None] > 0, (y - self.mean) / self.scale, 0).astype(np.float32)
        if not np.isfinite(targets).all():
            raise ValueError(
                "y has numbers that are infinite in float32 once they are standardised by target_mean_ and "
                "target_scale_. Leave out such outliers, or transform y."
            )
        return targets

    def check_training(self, examples, indices):
        """Accept all examples: a constant output can be learned."""

    def weigh(self, examples, estimator):
        """Return the examples, which have no classes."""
        return examples

    def doubt(self, y, weights):
        """Return which number alone decides how the others are standardised; None if there is none."""
        y, places = y[weights > 0], np.flatnonzero(weights > 0)
        for output, farthest in enumerate(np.abs(y / self.scale - self.mean / self.scale).argmax(axis=0)):
            others = np.delete(y[:, output : output + 1], farthest, axis=0)
            if len(others) and (others != others[0]).any():
                scale = Values.of(others, np.ones(len(others))).scale[0]
                if scale < _ALIKE * self.scale[output]:
                    return (
                        f"y has the outlier {y[farthest, output]:.6g} at image {places[farthest]}. With it the "
                        f"deviation of y is {self.scale[output]:.3g}, without it {scale:.3g}: beside it all look "
                        "alike. Correct it, leave it out, or transform y."
                    )
        return None

    def doubt_about_scale(self, examples):
        """Return why targets seem to have another scale than those of the first fit; None if they do not."""
        targets = examples.targets[examples.weights > 0].astype(np.float64)
        mean, deviation = targets.mean(axis=0), targets.std(axis=0)
        size = np.sqrt(np.mean((targets + self.mean / self.scale) ** 2, axis=0))
        is_far = (np.abs(mean) > _FAR) | (deviation > _FAR)
        is_faint = (size < np.hypot(self.mean / self.scale, 1) / _FAR) & (deviation > 0) & (len(targets) >= _SEVERAL)
        if not (is_far | is_faint).any():
            return None
        output = int(np.argmax(is_far | is_faint))
        now = mean * self.scale + self.mean, deviation * self.scale
        return (
            f"y has mean {now[0][output]:.3g} and deviation {now[1][output]:.3g}, and the network was trained on "
            f"numbers with mean {self.mean[output]:.3g} and deviation {self.scale[output]:.3g}. Use the units of the "
            "first fit, or fit a new network."
        )

    def strata(self, targets):
        """Return None: there are no groups."""

    def loss(self, estimator):
        """Return the loss."""
        return LOSSES[estimator.loss]()

    def identity(self, estimator):
        """Return what decides about the result of a fit, as in `fit_identity`."""
        return {"loss": estimator.loss, "number of outputs": self.n_outputs}

    def validation_score(self, scores, examples):
        """Return the weighted R2 of validation data, the mean over the outputs.

        R2 is not defined for an output that is constant there, as in a single image. Its error is then compared with
        the variance in the training data, which is 1. A score that is not finite counts as the lowest number.
        """
        counts = examples.weights > 0
        targets, weights = examples.targets[counts].astype(np.float64), examples.weights[counts]
        mean = np.average(targets, axis=0, weights=weights)
        variance = np.average((targets - mean) ** 2, axis=0, weights=weights)
        error = np.average((targets - scores[counts]) ** 2, axis=0, weights=weights)
        r2 = 1 - np.mean(error / np.where((targets == targets[0]).all(axis=0), 1, variance))
        return max(float(np.finfo(np.float64).min), float(r2))  # the first of the two if the other is not a number

    def regress(self, features, targets, weights):
        """Return the ridge regression that a new head begins as."""
        return regress_numbers(features, targets, weights)

    def predict(self, scores):
        """Return the numbers, of shape (n,) if there is one output."""
        numbers = scores * self.scale + self.mean
        return numbers.ravel() if self.n_outputs == 1 else numbers


def kind_of(stored):
    """Return what the outputs of a stored network mean."""
    if stored.outputs == "numbers":
        return Values(stored.target_mean, stored.target_scale)
    return Labels(np.arange(stored.architecture.n_classes)) if stored.outputs == "labels" else Classes(stored.classes)


LOSSES = {"squared_error": SquaredError, "absolute_error": AbsoluteError, "huber": Huber}
