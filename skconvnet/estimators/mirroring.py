"""Predictions that average the scores of each image and of its mirror image, left and right exchanged."""

import numpy as np


class AveragingScorer:
    """Computes the mean of the scores of an image and of its mirror image. Predictions use it in place of a `Scorer`.

    The mean is that of float64, as a caller would compute it from both `decision_function`.

    Parameters
    ----------
    scorer : Scorer
        Computes the scores.
    image_shape : tuple of int
        (height, width, channels) of the images.

    Attributes
    ----------
    device, pixels
        Those of the scorer.
    """

    def __init__(self, scorer, image_shape):
        self._scorer, self._image_shape = scorer, image_shape
        self.device, self.pixels = scorer.device, scorer.pixels

    def can_use_threads(self, n_images):
        """Return whether there is work for a second thread."""
        return self._scorer.can_use_threads(n_images)

    def scores_of_one(self, pixels, count_threads):
        """Compute the scores of one image, or None, as `Scorer.scores_of_one` does."""
        scores = self._scorer.scores_of_one(pixels, count_threads)
        if scores is None:
            return None
        mirrored = pixels.reshape(1, *self._image_shape)[:, :, ::-1]
        others = self._scorer.scores_of_one(mirrored, count_threads)
        return None if others is None else _mean(scores, others)

    def scores(self, images, n_threads, check_memory=None):
        """Compute the scores of images, as `Scorer.scores` does, but as float64."""
        scores = self._scorer.scores(images, n_threads, check_memory).astype(np.float64)
        return _mean(scores, self._scorer.scores(images.mirrored(), n_threads, check_memory))


def _mean(scores, others):
    """Return the mean; `scores` is overwritten."""
    scores += others
    scores /= 2
    return scores


def averages_mirrored(estimator):
    """Return the parameter `average_mirrored` of an estimator, which may have been set after `fit` has checked it.

    Parameters
    ----------
    estimator : BaseConvNet

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        If it is no bool.
    """
    value = estimator.average_mirrored
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"average_mirrored={value!r} is neither True nor False. Use one of these.")
    return bool(value)


def refuse_averaging(estimator, name):
    """Raise a ValueError if an estimator averages predictions, which a function does not.

    Parameters
    ----------
    estimator : BaseConvNet
        A fitted estimator.
    name : str
        What the error calls the function.
    """
    if averages_mirrored(estimator):
        raise ValueError(
            "With average_mirrored=True, predictions average the scores of each image and of its mirror image, and "
            f"{name} does not. To use the network alone, call set_params(average_mirrored=False) first."
        )
