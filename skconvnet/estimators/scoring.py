"""Scores of images by a fitted classifier, whose scorer is kept."""

import os
import sys
import warnings
from itertools import chain
from operator import is_
from pathlib import Path

import sklearn

from skconvnet.engine import Scorer, thread_count
from skconvnet.estimators.fitted import fitted_network, fitted_objects, learned_arrays
from skconvnet.estimators.limits import check_scoring_memory, memory_for_scoring

_PACKAGES = tuple(f"{path}{os.sep}" for path in (Path(__file__).parents[1], Path(sklearn.__file__).parent))


def score_images(scorer, images, n_jobs):
    """Compute the scores of images, if the device has enough memory.

    Parameters
    ----------
    scorer : Scorer
        The network.
    images : Images
        The n images.
    n_jobs : int or None
        As in `ConvNetClassifier`.

    Returns
    -------
    ndarray of float32, shape (n, n_scores)

    Raises
    ------
    ValueError
        If the device has not enough memory.

    Warns
    -----
    UserWarning
        If the pixels have another scale than those that the network was trained on.
    """
    scores = compute_scores(scorer, images, n_jobs)
    warn_of_other_scale(scorer.pixels, images)
    return scores


def warn_of_other_scale(pixels, images, name="X"):
    """Warn if images have another scale than the pixels that a network was trained on, a `PixelScale`.

    The warning calls the images `name`, and names the line that calls scikit-learn or skconvnet: scikit-learn's `score`
    calls `predict`, too.
    """
    doubt = pixels.doubt(images)
    if doubt is None:
        return
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGES):
        frame, level = frame.f_back, level + 1
    warnings.warn(doubt.replace("X", name, 1), stacklevel=level)


def compute_scores(scorer, images, n_jobs):
    """Compute the scores of images as `score_images` does, without a warning."""

    def check(needed):
        check_scoring_memory(images.shape, needed, scorer.device)

    with memory_for_scoring(images.shape, scorer.device):
        n_threads = thread_count(n_jobs)  # also where one is enough: it refuses a wrong n_jobs
        return scorer.scores(images, n_threads if scorer.can_use_threads(len(images)) else 1, check)


class ScorerCache:
    """Keeps a fitted estimator's scorer, and what its scores mean, while the fitted attributes are the same objects.

    The arrays become read-only when the scorer is made, because a change in place could not be noticed. Threads may
    share a cache. A copy or a file of it is empty.

    Attributes
    ----------
    kind : Classes, Labels or Values
        What the scores of the last scorer mean; None before there is one.
    """

    kind = None
    _kept = [], None  # the attributes, and their scorer

    def __reduce__(self):
        return ScorerCache, ()

    def __setstate__(self, state):
        """Ignore what a file contains."""

    @staticmethod
    def of(estimator):
        """Return the cache that an estimator keeps; it gets one if it has none."""
        cache = estimator.__dict__.get("_scorer_cache")
        if type(cache) is not ScorerCache:  # a file may have something else in its place
            cache = estimator._scorer_cache = ScorerCache()
        return cache

    def scorer(self, classifier, make=Scorer):
        """Return the scorer of a classifier.

        Parameters
        ----------
        classifier : ConvNetClassifier
            A fitted classifier.
        make : callable, optional
            Makes the scorer from a `Network`.

        Returns
        -------
        Scorer
            The same object as before if all fitted attributes are the same objects.

        Raises
        ------
        ValueError
            If the fitted attributes do not belong together: see `check_fitted`.
        """
        attributes = fitted_objects(classifier)
        kept, scorer = self._kept
        if not _are_same(attributes, kept) or scorer.device.is_lost():
            scorer = make(fitted_network(classifier))
            for array in (classifier.pixel_mean_, classifier.pixel_scale_, *chain(*learned_arrays(classifier))):
                array.flags.writeable = False
            self.kind = classifier._kind
            self._kept = attributes, scorer  # one assignment: another thread sees both or neither
        return scorer


def _are_same(attributes, kept):
    """Return whether two lists have the same objects."""
    return len(attributes) == len(kept) and all(map(is_, attributes, kept))
