"""ConvNetClassifier: parameters, fit and prediction. The work is done in data, architecture, engine and training."""

import os
import warnings
from dataclasses import replace
from numbers import Integral, Real
from types import SimpleNamespace

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.base import ClassifierMixin, _fit_context, clone
from sklearn.utils._param_validation import Options, StrOptions
from sklearn.utils.multiclass import _check_partial_fit_first_call, unique_labels
from sklearn.utils.validation import check_is_fitted

from skconvnet.architecture import HYPERPARAMETERS, Architecture
from skconvnet.data import (
    check_class_weight,
    check_examples,
    check_images,
    check_images_and_labels,
    check_larger_images,
    check_two_classes,
    convert_labels,
    hold_out,
    weigh_classes,
)
from skconvnet.estimators.base import BaseConvNet
from skconvnet.estimators.fitted import state_to_resume
from skconvnet.estimators.fitting import Fit, TrainingData
from skconvnet.estimators.parameters import Numbers, check_settings
from skconvnet.estimators.scoring import ScorerCache, score_images
from skconvnet.estimators.streaming import PartialFit
from skconvnet.training.callbacks import FitCallbacks

_FEATURES = ("n_features_in_", "feature_names_in_")


class ConvNetClassifier(ClassifierMixin, BaseConvNet):
    """Convolutional network for images.

    The network is given as a text in the notation of CS231n, or is chosen for the size of the images. It is trained
    on the softmax cross-entropy by minibatch gradient descent. Parameters that `sklearn.neural_network.MLPClassifier`
    has too mean what they mean there.

    Parameters
    ----------
    architecture : str or Architecture, default="auto"
        The network: a text such as ``"INPUT -> [CONV -> RELU -> POOL]*2 -> FC -> RELU -> FC"``, a name in
        `skconvnet.ARCHITECTURES`, or "auto", which suits it to the image shape.
    K : int, sequence of int or "auto", default="auto"
        Number of filters of the CONV layers that do not spell their own. One value for all of them, or a sequence with
        one for each CONV layer or one for each block, as for `F`, `S` and `P`.
    F : int or sequence of int, default=3
        Extent of the filters.
    S : int or sequence of int, default=1
        Stride of the filters.
    P : "same", "valid", int or sequence of those, default="same"
        Zero-padding: "same" is (F - 1)/2 and "valid" is 0.
    N : int, default=2
        What N stands for in the architecture: the CONV layers in a block.
    M : int or "auto", default="auto"
        What M stands for in the architecture: the blocks.
    hidden_layer_sizes : int or sequence of int, default=(128,)
        The widths of the fully connected layers before the last; a single one is the width of each of them.
    pool : bool or sequence of bool, default=True
        Whether the ``POOL?`` of a block stands: one value for all blocks, or one for each. ``architecture="auto"``
        leaves out those that the volume has become too small for, whatever is said here.
    pool_F : int or sequence of int, default=2
        Extent of the pooling windows.
    pool_S : int or sequence of int, default=2
        Stride of the pooling windows.
    image_shape : tuple of int, default=None
        (height, width, channels) of the images, or (height, width) if they are grey. None takes it from X; where X has
        rows, a square grey image if there is one of that size, or else a square RGB image, or else a strip one pixel
        high. A row has the pixels of an image row by row, each with its channels side by side.
    solver : {"adam", "sgd"}, default="adam"
        The optimizer.
    alpha : float, default=0.01
        Strength of the weight decay. With "adam" it is decoupled from the gradient: each step takes
        ``learning_rate * alpha`` of every weight away. With "sgd" it is the L2 term of MLPClassifier.
    batch_size : int or "auto", default="auto"
        Images in a minibatch. "auto" is 32 to 128, growing with the number of images.
    learning_rate : {"one-cycle", "constant", "adaptive"}, default="one-cycle"
        Over the course of ``max_iter`` epochs, "one-cycle" rises to ``learning_rate_init`` and falls to zero.
        "adaptive" divides by five where MLPClassifier does, and with either solver.
    learning_rate_init : float, default=0.005
        The learning rate; the highest one of "one-cycle".
    momentum : float, default=0.9
        Momentum of "sgd".
    nesterovs_momentum : bool, default=True
        Whether "sgd" has Nesterov's momentum.
    max_iter : int, default=20
        The most epochs to train.
    shuffle : bool, default=True
        Whether each epoch has the images in an order of its own.
    tol : float, default=1e-4
        What counts as an improvement of the training loss, or of the validation score if `early_stopping`.
    n_iter_no_change : int or inf, default=10
        Training ends when more than this many epochs in a row were not better than the best by `tol`.
    early_stopping : bool, default=False
        Whether a validation set decides when to stop, and which epoch's weights to keep: ``X_val`` of `fit`, or a part
        of the training data.
    validation_fraction : float, default=0.1
        The part of the training data that is set aside for `early_stopping`.
    warm_start : bool, default=False
        Whether `fit` goes on with the network, and the state of the optimizer, of the `fit` before, to the bit as one
        longer fit would. A "one-cycle" or "adaptive" learning rate begins anew, though; after `early_stopping` it is
        the best weights that it goes on with; and a `fit` that had no warm_start has kept no state of the optimizer.
    class_weight : dict, "balanced" or None, default=None
        How much the images of each class count. "balanced" makes up for the classes' frequencies.
    label_smoothing : float, default=0.1
        The part of the target probability that is spread over all the classes, in [0, 1). It helps accuracy, keeps the
        loss from falling to zero, and makes `predict_proba` less sure of itself; 0.0 does none of this.
    augment : {"flip", "crop", "cutout"}, list of these, or None, default=None
        What is done to the images in training minibatches, drawn anew for every one: "flip" mirrors half of them left
        to right, "crop" shifts them by up to an eighth of their sides, "cutout" covers a square of half their side.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where to compute. "auto" is the CPU; "cuda" is not implemented yet.
    n_jobs : int, default=None
        Threads. None and -1 are all that this process may use. The results are the same to the bit for any number.
    random_state : int, RandomState instance or None, default=None
        Decides the initial weights, the order of the images, and which are set aside for validation.
    verbose : int, default=0
        1 shows the epochs: a progress bar on a terminal, if `rich` is installed, and a line an epoch elsewhere.
    checkpoint : str or os.PathLike, default=None
        A file for the state of `fit`, written after every epoch; a ``~`` in its path is not expanded. A `fit` that was
        killed, and is started again with the same parameters and data, goes on after the last epoch that ended, and
        comes to the same bits as if it had not been killed. One that had ended has its result at once. See the notes.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    n_features_in_ : int
        Numbers in an image: height * width * channels.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X had any.
    image_shape_ : tuple of int
        (height, width, channels).
    architecture_ : BoundArchitecture
        The network with all its numbers; ``print(architecture_.summary())`` shows its volumes.
    coefs_ : list of ndarray of float32
        In network order, branches one after the other: a (F, F, C / groups, K) array for each CONV layer, an
        (inputs, outputs) array for each FC layer, and the (C,) scales of each NORM that learns some.
    intercepts_ : list of ndarray of float32
        Their biases and shifts; an empty array for a CONV without biases.
    norm_means_, norm_variances_ : list of ndarray of float32
        The running statistics, (C,), of each NORM(batch).
        These arrays become read-only with the first prediction: to change one, replace it in its list.
    pixel_mean_, pixel_scale_ : ndarray of float32, shape (channels,)
        Pixels are standardised with these, which come from the training data.
    loss_ : float
        The loss of the last epoch.
    loss_curve_ : list of float
        The loss of every epoch.
    accuracy_curve_ : list of float
        The accuracy on the training data in every epoch: the weighted part of the images that were classified right
        when their minibatch was learned from, as augmented, and with what DROPOUT left.
    best_loss_ : float or None
        The lowest of them; None if `early_stopping`.
    validation_scores_ : list of float or None
        The accuracy on the validation set after every epoch, if there was one.
    best_validation_score_ : float or None
        The highest of them.
    n_iter_ : int
        The epochs of the last fit.
    t_ : int
        The images seen in training, each as often as it was seen.
    compile_time_ : float
        The seconds of the last fit that went into compiling kernels, or loading compiled ones.
    fit_time_ : float
        All the others.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        If `max_iter` ended the training. That is the regular end under "one-cycle", which warns of nothing.
    UserWarning
        If `batch_size` is more than there are images, Ctrl-C ended the training, the `checkpoint` could no longer be
        written, or `partial_fit` begins Adam anew on a fitted network.

    Notes
    -----
    A learning rate that is too high can make the loss infinite. Then `fit` raises a FloatingPointError, and the
    estimator keeps the weights of the last epoch, which were finite (the best ones if `early_stopping`), or is as it
    was if no epoch had ended. Ctrl-C ends `fit` with a warning, and the estimator is fitted as far as it got; in the
    first epoch it is a KeyboardInterrupt, and the estimator is as it was.

    With scikit-learn 1.9 or newer, ``set_callbacks`` takes the callbacks of `sklearn.callback`: `fit` is a task with a
    task for each epoch, whose id is the epoch's number, from 0. They are given X, y and ``sample_weight`` as `fit` was,
    what is set aside for validation included, and the estimator as it would be if the training had ended there. When
    ``on_fit_task_end`` of an epoch returns True, it ends there indeed, with no warning. `partial_fit` is a `fit` of one
    epoch to them. An error in a callback leaves the estimator as it was before `fit`; one in its ``teardown``, when all
    is done, as it is after.

    A `checkpoint` belongs to one fit: a cross-validation or a search needs ``checkpoint=None``. All that decides about
    the result has to be the same when the fit goes on, `max_iter` included, and is compared before any work; `n_jobs`,
    `device`, `verbose` and callbacks may change; a `fit` that a callback stopped goes on. Where something differs, or
    the file is damaged, `fit` raises a ValueError and leaves the file as it is: delete it to begin anew. With
    ``random_state=None`` the seed is that of the checkpoint; a RandomState instance moves on with every fit, so that an
    int is easier to repeat. Of two that began before there was a file, the one that writes first has it; the other
    warns, and goes on without. The file is written beside its place and then moved there, so that it is whole whenever
    the process is killed; a link stays, and the file that it leads to is replaced. A kill may leave a hidden file
    beside it whose name ends in ``.skconvnet-part``, which the next such `fit` removes. Its arrays are stored by NumPy,
    and nothing in it is executed when it is read. `warm_start` and `partial_fit` do not go together with it.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from skconvnet import ConvNetClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    >>> classifier = ConvNetClassifier(K=8, max_iter=5, random_state=0).fit(X_train, y_train)
    >>> bool(classifier.score(X_test, y_test) > 0.9)
    True
    """

    # The parameters of the architecture are checked by `Hyperparameters`, and image_shape together with X.
    _parameter_constraints: dict = {  # noqa: RUF012 - scikit-learn's name for it, and it is no one's to change
        "architecture": [str, Architecture],
        **dict.fromkeys(HYPERPARAMETERS, "no_validation"),
        "image_shape": "no_validation",
        "solver": [StrOptions({"adam", "sgd"})],
        "alpha": [Numbers(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Numbers(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "adaptive", "one-cycle"})],
        "learning_rate_init": [Numbers(Real, 0, None, closed="neither")],
        "momentum": [Numbers(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "max_iter": [Numbers(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "tol": [Numbers(Real, 0, None, closed="left")],
        "n_iter_no_change": [Numbers(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "early_stopping": ["boolean"],
        "validation_fraction": [Numbers(Real, 0, 1, closed="left")],
        "warm_start": ["boolean"],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "label_smoothing": [Numbers(Real, 0, 1, closed="left")],
        "augment": "no_validation",
        "device": [StrOptions({"auto", "cpu", "cuda"})],
        "n_jobs": [Numbers(Integral, 1, None, closed="left"), Numbers(Integral, None, -1, closed="right"), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "checkpoint": [str, os.PathLike, None],
    }

    def __init__(
        self,
        architecture="auto",
        *,
        K="auto",
        F=3,
        S=1,
        P="same",
        N=2,
        M="auto",
        hidden_layer_sizes=(128,),
        pool=True,
        pool_F=2,
        pool_S=2,
        image_shape=None,
        solver="adam",
        alpha=0.01,
        batch_size="auto",
        learning_rate="one-cycle",
        learning_rate_init=0.005,
        momentum=0.9,
        nesterovs_momentum=True,
        max_iter=20,
        shuffle=True,
        tol=1e-4,
        n_iter_no_change=10,
        early_stopping=False,
        validation_fraction=0.1,
        warm_start=False,
        class_weight=None,
        label_smoothing=0.1,
        augment=None,
        device="auto",
        n_jobs=None,
        random_state=None,
        verbose=0,
        checkpoint=None,
    ):
        self.architecture = architecture
        self.K = K
        self.F = F
        self.S = S
        self.P = P
        self.N = N
        self.M = M
        self.hidden_layer_sizes = hidden_layer_sizes
        self.pool = pool
        self.pool_F = pool_F
        self.pool_S = pool_S
        self.image_shape = image_shape
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.augment = augment
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.checkpoint = checkpoint

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, X_val=None, y_val=None, sample_weight_val=None):
        """Train the network on images and their labels.

        Parameters
        ----------
        X : array-like, shape (n, height * width * channels), (n, height, width) or (n, height, width, channels)
            Images of real numbers, of any dtype. An ndarray is not copied, a memory map included; nor is an array that
            speaks DLPack, as a PyTorch tensor. Data frames of pandas and polars have rows.
        y : array-like of shape (n,)
            Their labels.
        sample_weight : array-like of shape (n,), default=None
            How much each image counts, relative to the others. See the notes.
        X_val : array-like, as X, default=None
            Images to validate on after every epoch. With `early_stopping` they decide when to stop, and no training
            data are set aside.
        y_val : array-like, default=None
            Their labels, none of which may be missing in y.
        sample_weight_val : array-like, default=None
            How much each of them counts.

        Returns
        -------
        ConvNetClassifier
            The estimator itself.

        Raises
        ------
        ValueError
            If a parameter or the data are not what they have to be, or the architecture does not fit the images
            (`ArchitectureError`), or the `checkpoint` is damaged, of another fit, or cannot be written; before any
            work.
        FloatingPointError
            If the loss, or a weight, became infinite or NaN.

        Notes
        -----
        The loss is a weighted mean, and pixels are standardised with the weighted mean and deviation. So where a
        minibatch is all the images, an image of weight 2 is that image twice, and one of weight 0 is as good as not
        there; the weights of `class_weight` are multiplied with those given. Smaller minibatches are of `batch_size`
        images, whatever these weigh. Three things count images and not weights: the `alpha` of "sgd", which is divided
        by the images in a minibatch, where MLPClassifier divides it by the sum of their weights; ``NORM(batch)``, whose
        mean is over all of them, those of weight 0 included; and what is drawn for each, by DROPOUT and by `augment`.

        In a Pipeline, ``transform_input=["X_val"]`` has X_val go through the steps before. A cross-validation hands
        X_val on as it is, unless it has as many images as X: then it is cut as X is.
        """
        callbacks = FitCallbacks.of(self, self.max_iter, X, y, sample_weight)
        check_settings(self, splits=self.early_stopping and X_val is None)
        check_class_weight(self.class_weight)
        previous = state_to_resume(self) if self.warm_start and self.__sklearn_is_fitted__() else None
        fit = Fit(self, previous, callbacks)
        data = self._check_data(X, y, sample_weight, previous)
        data = self._split_validation(data, X_val, y_val, sample_weight_val, fit)
        data = replace(data, examples=weigh_classes(data.examples, self.class_weight, data.classes))
        check_two_classes(data.examples, data.indices, data.classes)
        fit.run(data)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train the network for one epoch on these images, at a constant learning rate.

        It goes on where the call before has ended, with the state of the optimizer. After a `fit` it has that only if
        this had ``warm_start=True``; else it warns: the first steps of Adam are large.

        Parameters
        ----------
        X : array-like, shape (n, height * width * channels), (n, height, width) or (n, height, width, channels)
            Images. Those of the first call decide how pixels are standardised.
        y : array-like of shape (n,)
            Their labels.
        classes : array-like of shape (n_classes,), default=None
            All the labels that will ever come. The first call needs them.
        sample_weight : array-like of shape (n,), default=None
            How much each image counts, relative to the others of this call.

        Returns
        -------
        ConvNetClassifier
            The estimator itself.

        Raises
        ------
        ValueError, FloatingPointError
            As `fit`; and with ``early_stopping=True``, ``class_weight="balanced"`` or a `checkpoint`, which mean
            nothing here.
        """
        if self.early_stopping:
            raise ValueError(
                "partial_fit does not support early_stopping=True: it sees the data in parts. Use "
                "early_stopping=False, and validate between the calls."
            )
        if self.class_weight == "balanced":
            raise ValueError(
                "partial_fit does not support class_weight='balanced': it sees the data in parts. Give class_weight as "
                "a dict."
            )
        if self.checkpoint is not None:
            raise ValueError(
                "partial_fit does not support checkpoint: which data come next is known to its caller alone. Use "
                "checkpoint=None, and pickle the estimator between the calls: partial_fit goes on in the copy."
            )
        if classes is not None and np.ndim(classes) != 1:
            raise ValueError(f"classes={classes!r} has to be a list of all the labels, as range(10) or np.unique(y).")
        previous = None
        if self.__sklearn_is_fitted__():  # what the call before left in this process needs no check
            previous = self._training_state if "_kept_trainer" in vars(self) else state_to_resume(self)
        if previous is not None and self.solver == "adam" and (previous.optimizer is None or previous.solver != "adam"):
            warnings.warn(_NO_STATE, stacklevel=3)
        callbacks = FitCallbacks.of(self, 1, X, y, sample_weight)
        check_settings(self, splits=False)
        check_class_weight(self.class_weight)
        classes = self._check_classes(classes, previous)
        data = self._check_data(X, y, sample_weight, previous, classes)
        data = replace(data, examples=weigh_classes(data.examples, self.class_weight, data.classes))
        PartialFit(self, previous, callbacks).run(data)
        return self

    def decision_function(self, X):
        """Return the scores of the classes, the numbers that softmax turns into probabilities.

        Parameters
        ----------
        X : array-like, shape (n, height * width * channels), (n, height, width) or (n, height, width, channels)
            Images of the size of those in `fit`.

        Returns
        -------
        ndarray of float64, shape (n, n_classes), or (n,) if there are two classes
            The scores. Of two classes it is the difference, above 0 where the second is more likely.
        """
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X):
        """Return the most likely labels.

        Parameters
        ----------
        X : array-like, shape (n, height * width * channels), (n, height, width) or (n, height, width, channels)
            Images of the size of those in `fit`.

        Returns
        -------
        ndarray of shape (n,)
            Labels of `classes_`.
        """
        most_likely = self._scores(X).argmax(axis=1)
        return self.classes_[most_likely]

    def predict_proba(self, X):
        """Return the probabilities of the classes.

        Parameters
        ----------
        X : array-like, shape (n, height * width * channels), (n, height, width) or (n, height, width, channels)
            Images of the size of those in `fit`.

        Returns
        -------
        ndarray of float64, shape (n, n_classes)
            Probabilities in the order of `classes_`; each row sums to 1.
        """
        return softmax(self._scores(X), axis=1)

    def predict_log_proba(self, X):
        """Return the logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : array-like, shape (n, height * width * channels), (n, height, width) or (n, height, width, channels)
            Images of the size of those in `fit`.

        Returns
        -------
        ndarray of float64, shape (n, n_classes)
            Finite even where a probability is too small for a float.
        """
        return log_softmax(self._scores(X), axis=1)

    def score(self, X, y, sample_weight=None):
        """Return the part of the labels that are predicted right.

        Parameters
        ----------
        X : array-like, shape (n, height * width * channels), (n, height, width) or (n, height, width, channels)
            Images of the size of those in `fit`.
        y : array-like of shape (n,)
            Their labels.
        sample_weight : array-like of shape (n,), default=None
            How much each image counts, relative to the others.

        Returns
        -------
        float
            The accuracy.
        """
        return super().score(X, convert_labels(y), sample_weight)

    def score_map(self, X):
        """Return the scores of the classes at every place of larger images where the network can stand.

        The network is run over each image once, its FC layers as CONV layers and its ``POOL(F=all)`` as sliding POOL
        layers. Between neighbouring scores lies the network's stride: the product of the strides of its layers.

        Parameters
        ----------
        X : array-like, shape (n, height, width) or (n, height, width, channels)
            Images that are no smaller than those in `fit`, all of one size.

        Returns
        -------
        ndarray of float64, shape (n, rows, columns, n_classes)
            The scores, one for each class, also where there are two.

        Raises
        ------
        ValueError
            If the images are smaller than those in `fit`, or have another depth; if they do not fit the network's
            strides, or the network has NORM(layer), whose mean is one over the whole image (`ArchitectureError`).

        Notes
        -----
        Without zero-padding, and where every POOL's windows fit, this is `decision_function` of the crops at the
        network's stride, for a fraction of the work. With zero-padding it is not quite that: the border of a crop meets
        zeros where the whole image has pixels. FC layers as CONV layers are the notes' of CS231n, section "Converting
        Fully-Connected Layers to Convolutional Layers".

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from skconvnet import ConvNetClassifier
        >>> X, y = load_digits(return_X_y=True)
        >>> classifier = ConvNetClassifier(K=8, max_iter=1, random_state=0).fit(X, y)
        >>> two_digits = X[:2].reshape(2, 8, 8).transpose(1, 0, 2).reshape(1, 8, 16)
        >>> classifier.score_map(two_digits).shape
        (1, 1, 5, 10)
        """
        scorer = self._scorer()
        images = check_larger_images(self, X, self.image_shape_)
        larger = scorer.on(images.shape)
        scores = score_images(larger, images, self.n_jobs)
        return scores.astype(np.float64).reshape(len(images), larger.output.height, larger.output.width, -1)

    def _check_classes(self, classes, previous):
        """Return the sorted labels that `partial_fit` may be given, from `classes` or from the call before."""
        if previous is not None and (classes is None or np.array_equal(classes, self.classes_)):
            return self.classes_
        labels = None if classes is None else convert_labels(classes)
        checked = SimpleNamespace() if previous is None else SimpleNamespace(classes_=self.classes_)
        _check_partial_fit_first_call(checked, labels)
        if len(checked.classes_) < 2:
            raise ValueError(
                f"classes has 1 class ({checked.classes_.tolist()[0]!r}); a classifier needs 2 classes or more."
            )
        return checked.classes_

    def _check_data(self, X, y, sample_weight, previous, classes=None):
        """Check images, labels and weights; `classes` are given in `partial_fit` only."""
        if previous is None:
            checked = clone(self)  # scikit-learn assigns to what it checks
            images, y = check_images_and_labels(checked, X, y, self.image_shape, reset=True)
        else:
            checked = self
            images, y = check_images_and_labels(checked, X, y, self.image_shape_)
        features = {name: vars(checked)[name] for name in _FEATURES if name in vars(checked)}
        is_complete = classes is None
        if is_complete:
            classes = unique_labels(y)
            if previous is not None and not np.array_equal(classes, self.classes_):
                raise ValueError(
                    f"y has the classes {classes}, but warm_start=True resumes a network for the classes "
                    f"{self.classes_}. Use warm_start=False, or the same classes."
                )
        examples, indices = check_examples(images, y, classes, sample_weight), np.arange(len(images))
        if is_complete:
            check_two_classes(examples, indices, classes)
        return TrainingData(examples, classes, features, indices)

    def _split_validation(self, data, X_val, y_val, sample_weight_val, fit):
        """Return the data with validation data: those that are given, or a part of the training data, or none."""
        if X_val is not None and y_val is not None:
            validation = self._validation_examples(X_val, y_val, sample_weight_val, data)
            return replace(data, validation=validation, validation_is_given=True)
        if X_val is not None or y_val is not None or sample_weight_val is not None:
            raise ValueError("X_val and y_val belong together, and sample_weight_val to both.")
        if not self.early_stopping:
            return data
        indices, validation = hold_out(data.examples, self.validation_fraction, fit.seed)
        return replace(data, indices=indices, validation=validation)

    def _validation_examples(self, X_val, y_val, sample_weight_val, data):
        """Check the validation data; an error says that it is about these."""
        checked = clone(self)
        vars(checked).update(data.features)
        try:
            images, y = check_images_and_labels(checked, X_val, y_val, data.examples.images.shape)
            return check_examples(images, y, data.classes, sample_weight_val)
        except ValueError as error:
            raise ValueError(
                f"X_val, y_val or sample_weight_val, here called X, y and sample_weight: {error}"
            ) from error

    def _scorer(self):
        """Return the scorer of the fitted network."""
        check_is_fitted(self)
        return ScorerCache.of(self).scorer(self)

    def _scores(self, X):
        """Return the scores of images, float64 of shape (n, n_classes)."""
        scorer = self._scorer()
        return score_images(scorer, check_images(self, X, self.image_shape_), self.n_jobs).astype(np.float64)


_NO_STATE = (
    "The fit before has kept no state of Adam, whose first steps change every weight by as much as learning_rate_init: "
    "what was learned may suffer. Fit with warm_start=True before partial_fit; a lower learning_rate_init helps, too."
)
