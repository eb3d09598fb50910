"""ConvNetClassifier: parameters, fit and prediction. The work is done in data, architecture, engine and training."""

from dataclasses import replace
from functools import partial
from numbers import Real
from types import SimpleNamespace

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import _check_partial_fit_first_call, unique_labels

from skconvnet.data import check_images_and_labels, check_labels, convert_labels, unite_labels
from skconvnet.estimators.base import BaseConvNet
from skconvnet.estimators.parameters import Numbers, checked_arguments
from skconvnet.estimators.targets import Classes, Labels

_WIDER = ". Leave out classes, or add classes with widen_classes=True."


class ConvNetClassifier(ClassifierMixin, BaseConvNet):
    """Convolutional network classifier for images.

    The network is a text in the notation of CS231n, or is chosen for the size of the images. It is trained on the
    softmax cross-entropy by minibatch gradient descent. With an indicator matrix as y, each image has any number of
    labels, and the loss is the sigmoid cross-entropy of each. Parameters that `sklearn.neural_network.MLPClassifier`
    also has mean the same here.

    Parameters
    ----------
    architecture : str or Architecture, default="auto"
        The network: a text such as ``"INPUT -> [CONV -> RELU -> POOL]*2 -> FC -> RELU -> FC"``, a name in
        `skconvnet.ARCHITECTURES`, or "auto", which chooses one for the image shape: "pattern", or for RGB images of
        32x32 and more that pattern with NORM after each CONV, and the mean of each depth slice in place of hidden FC.
    K : int, sequence of int or "auto", default="auto"
        Number of filters of the CONV layers whose text does not give it. One value for all of them, or a sequence with
        one value for each CONV layer or one for each block. The same holds for `F`, `S` and `P`.
    F : int or sequence of int, default=3
        Extent of the filters.
    S : int or sequence of int, default=1
        Stride of the filters.
    P : "same", "valid", int or sequence of those, default="same"
        Zero-padding: "same" is (F - 1)/2 and "valid" is 0.
    N : int, default=2
        The value of N in the architecture: the number of CONV layers in a block.
    M : int or "auto", default="auto"
        The value of M in the architecture: the number of blocks.
    hidden_layer_sizes : int or sequence of int, default=(128,)
        The widths of the fully connected layers that do not end the network. An int is the width of each of them.
    pool : bool or sequence of bool, default=True
        Whether the ``POOL?`` of a block is used: one value for all blocks, or one for each. ``architecture="auto"``
        leaves out those for which the volume has become too small.
    pool_F : int or sequence of int, default=2
        Extent of the pooling windows.
    pool_S : int or sequence of int, default=2
        Stride of the pooling windows.
    rounding : {"floor", "ceil", "exact"}, default="floor"
        What to do where the size of an output, (W - F + 2P)/S + 1, is not a whole number, for CONV and POOL layers
        without ``round=``: round it down, as other libraries do, round it up, or raise an error with what fits.
        ``architecture="auto"`` always rounds down.
    image_shape : tuple of int, default=None
        (height, width, channels) of the images, or (height, width) of grey images. If None, it is taken from X. If X
        has rows, None means a square grey image if the number of features is a square, else a square RGB image if it
        is three times a square, else a strip one pixel high. A row contains the pixels of an image row by row, and the
        channels of a pixel next to each other.
    solver : {"adam", "sgd"}, default="adam"
        The optimizer.
    alpha : float, default=0.01
        Strength of the weight decay. With "adam" it is decoupled from the gradient: each step subtracts
        ``learning_rate * alpha`` of every weight. With "sgd" it is the L2 term of MLPClassifier.
    batch_size : int or "auto", default="auto"
        Number of images in a minibatch. "auto" is between 32 and 128, depending on the number of images.
    learning_rate : {"one-cycle", "constant", "invscaling", "adaptive"}, default="one-cycle"
        Schedule of the learning rate, with either solver. "one-cycle" rises to ``learning_rate_init`` and falls to zero
        over `max_iter` epochs. "adaptive" divides the rate by five at the same point as MLPClassifier. "invscaling"
        gives an epoch that begins after t images the rate ``learning_rate_init / (t + 1) ** power_t``; t counts each
        image as often as it was seen, also in the fits that `warm_start` and `partial_fit` resume.
    learning_rate_init : float, default=0.005
        The initial learning rate; with "one-cycle" the highest.
    power_t : float, default=0.5
        The exponent of "invscaling".
    momentum : float, default=0.9
        Momentum of "sgd".
    nesterovs_momentum : bool, default=True
        Whether "sgd" uses Nesterov's momentum.
    beta_1 : float, default=0.9
        The part of the mean gradient that "adam" keeps in a step, in [0, 1).
    beta_2 : float, default=0.999
        The part of the mean squared gradient that "adam" keeps in a step, in [0, 1).
    epsilon : float, default=1e-8
        What "adam" adds to the root of the mean squared gradient, after the correction of its bias.
    max_iter : int or "auto", default="auto"
        The largest number of epochs. "auto" is the number in which 600,000 images are seen, but at least 10 and at most
        20: 20 epochs for up to 30,000 training images, 13 for 45,000, and 10 from 60,000 on. With `augment`, it is
        twice that number. It is the same for each `learning_rate`.
    shuffle : bool, default=True
        Whether to shuffle the images in every epoch.
    tol : float, default=1e-4
        By how much the training loss, or the validation score if `early_stopping`, has to improve to count as better.
    n_iter_no_change : int or inf, default=10
        Training stops when more than this many epochs in a row have not improved by `tol`.
    early_stopping : bool, default=False
        Whether a validation set decides when to stop, and which epoch's weights to keep. The validation set is
        ``X_val`` of `fit`, or a part of the training data.
    validation_fraction : float, default=0.1
        The part of the training data that is used for validation if `early_stopping` and there is no ``X_val``.
    warm_start : bool, default=False
        Whether `fit` resumes the network, and the state of the optimizer, of the previous `fit`. The result is the same
        to the bit as that of one longer fit, with three exceptions. A "one-cycle" or "adaptive" learning rate starts
        again. After `early_stopping`, the best weights are resumed. A previous `fit` without `warm_start` has not kept
        the state of the optimizer.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes. "balanced" makes up for their frequencies. Several labels of an image cannot be weighed.
    label_smoothing : float, default=0.1
        The part of the target probability that is spread over all classes, in [0, 1). It improves accuracy and makes
        `predict_proba` less certain. The loss does not fall to zero with it.
    widen_classes : bool, default=False
        Whether `partial_fit` accepts classes that the network does not know. It then gets outputs for them, with the
        mean of the weights of the known classes, and keeps all else, also the state of the optimizer. Not for several
        labels of an image.
    augment : str, callable, list of them, or None, default=None
        Random changes of the images in each training minibatch: "flip" mirrors half of them left to right, "crop"
        shifts them by up to an eighth of their sides, "cutout" covers a square of half their side, "rotate" rotates
        them by up to 15 degrees, "scale" makes them up to a fifth smaller or larger, "brightness", "contrast" and
        "noise" change their tones, "mixup" mixes two images and their targets. All but "flip" take an amount in
        parentheses, as in ``["flip", "rotate(30)"]``. A function ``f(images, rng)`` of your own returns the images of
        a minibatch as it changes them. See docs/augmentation.md.
    average_mirrored : bool, default=False
        Whether predictions average the scores of each image and of its mirror image, left and right exchanged. It takes
        twice the time; use it where flips are harmless, as with ``augment="flip"``. `fit` does not read it, nor do the
        scores of its validation: ``set_params`` may change it afterwards.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where to compute. "cuda" is an NVIDIA GPU. It needs packages that `fit` names, compute capability 7.5
        (Turing) or newer, and a driver for CUDA 13; where one of these is missing, `fit` raises a ValueError that names
        it. "auto" uses such a GPU, if there is one, for a `fit` of 5e12 or more multiply-adds, some ten seconds of a
        CPU, and for the predictions of networks with 1e8 or more for an image. Otherwise it is the CPU. See the notes.
    float32_precision : {"ieee", "tf32x3"}, default="ieee"
        How a GPU multiplies matrices, in CONV and FC. "ieee" rounds as float32 does. "tf32x3" makes each product of
        three on tensor cores. A CPU, and a GPU before compute capability 8.0 (Ampere), always uses "ieee".
    n_jobs : int, default=None
        Number of threads. None and -1 use all that this process may use. The results do not depend on it.
    random_state : int, RandomState instance or None, default=None
        Determines the initial weights, the order of the images, the validation split, DROPOUT and augmentation.
    verbose : int, default=0
        1 shows the progress: a progress bar on a terminal, if `rich` is installed, else one line per epoch.
    checkpoint : str or os.PathLike, default=None
        A file for the state of `fit`, written after every epoch; a ``~`` in its path is not expanded. If a `fit` was
        killed, the same `fit` with the same parameters and data resumes after the last complete epoch, and its result
        is the same to the bit as without the kill. If it was complete, its result is loaded. See the notes.
    pretrained : str, os.PathLike, FrozenEstimator or None, default=None
        A network whose weights `fit` begins with: a file or the name of an installed package, as `load_network` reads
        them, or a `sklearn.frozen.FrozenEstimator` of a fitted classifier. For a file that needs further arguments,
        load it with `load_network` and freeze the result. ``architecture="auto"`` is then its architecture, and another
        one must be the same up to the head, the last CONV or FC. The head is new, unless the labels are those of the
        network. Pixels are standardised as there. The images may have another height and width, where the layers fit.
        A `fit` that `warm_start` continues, and later calls of `partial_fit`, do not read it again.
    freeze : str or None, default=None
        What of the pretrained network stays as it is: "body", all layers before the head, or a layer such as "CONV 3"
        and all before it; DROPOUT there drops nothing. Without `augment`, the activations that these layers end in are
        computed once. To unfreeze layers later, use ``set_params`` and `warm_start`; the optimizer then begins anew.
        Frozen or not, each NORM(batch) before the head keeps its running mean and variance: those of few images would
        be worse. If it is not frozen, its scales and shifts learn.
    body_rate : float, default=0.03
        The learning rate of pretrained layers before the head, as a part of `learning_rate_init`.
    head_first : bool, default=True
        Whether a new head begins as scikit-learn's LogisticRegression on the means of what it reads, and not with
        random weights. False is needed if a RELU6, TANH, SIGMOID or HSIGMOID limits the scores. Where such a head, or
        one that is kept, reads many or large numbers, its learning rate is lower, since it would be undone at once.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels. If y was an indicator matrix, the numbers of its columns.
    multilabel_ : bool
        Whether y was an indicator matrix: then each image has any number of labels.
    n_features_in_ : int
        Number of pixel values in an image: height * width * channels.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns of X. Only defined if X has column names that are all strings.
    image_shape_ : tuple of int
        (height, width, channels).
    architecture_ : BoundArchitecture
        The network with its hyperparameters and volumes. `str` prints it, and ``architecture_.summary()`` lists its
        volumes and parameters.
    coefs_ : list of ndarray of float32
        In network order, branches one after the other: a (F rows, F columns, C / groups, K) array for each CONV layer,
        an (inputs, outputs) array for each FC layer, and a (C,) array of scales for each NORM that learns them, or of
        slopes for each PRELU.
    intercepts_ : list of ndarray of float32
        Their biases and shifts; an empty array for a CONV without biases and for a PRELU.
    norm_means_, norm_variances_ : list of ndarray of float32
        The running statistics, (C,), of each NORM(batch). These arrays, and those of `coefs_` and `intercepts_`, become
        read-only with the first prediction. To change one later, replace it in its list.
    pixel_mean_, pixel_scale_ : ndarray of float32, shape (channels,)
        Pixels are standardised as ``(pixel - pixel_mean_) * pixel_scale_``. Computed from the training data.
    loss_ : float
        The training loss of the last epoch.
    loss_curve_ : list of float
        The training loss of every epoch.
    accuracy_curve_ : list of float
        The weighted accuracy on the training data in every epoch. Each image is classified just before its minibatch
        is used for a step, after augmentation and with DROPOUT.
    learning_rate_curve_ : list of float
        The mean learning rate of the steps of every epoch.
    best_loss_ : float or None
        The lowest training loss; None if `early_stopping`.
    validation_scores_ : list of float or None
        The accuracy on the validation set after every epoch, if there is one.
    best_validation_score_ : float or None
        The highest of these.
    n_iter_ : int
        Number of epochs of the last fit.
    t_ : int
        Number of images seen in training, counted each time they were seen.
    compile_time_ : float
        Seconds of the last fit that were spent on compiling kernels, or loading compiled ones.
    fit_time_ : float
        The other seconds of the last fit.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        If training stops at `max_iter`. With "one-cycle" this is the regular end, and there is no warning.
    UserWarning
        If parameters have no effect on the network, filters are much larger than their input, rows are taken for RGB
        images or for strips one pixel high, a column of X is named like a label, images seem to have their channels
        first, `batch_size` is larger than the number of images, Ctrl-C ended the training, the `checkpoint` could not
        be written, or `partial_fit` starts Adam again on a fitted network.

    Notes
    -----
    If the learning rate is too high, the loss can become infinite. Then `fit` raises a FloatingPointError. The
    estimator has the weights of the last epoch before, or the best ones if `early_stopping`. If no epoch had ended, it
    is as it was.

    Ctrl-C in the first epoch raises KeyboardInterrupt, and the estimator is as it was. Later it ends `fit` with a
    warning, and the estimator is fitted up to that point.

    With scikit-learn 1.9 or newer, ``set_callbacks`` accepts the callbacks of `sklearn.callback`. `fit` is a task, and
    each epoch is a subtask with its number, from 0, as id. Callbacks get the arguments X, y and ``sample_weight`` of
    `fit`, including images that are used for validation, and the estimator as it would be if training had ended there.
    If ``on_fit_task_end`` of an epoch returns True, training ends there without a warning. `partial_fit` is a `fit` of
    one epoch. An error in a callback leaves the estimator as it was before `fit`; an error in its ``teardown`` leaves
    it fitted.

    A `checkpoint` belongs to one fit. Cross-validation and searches need ``checkpoint=None``. When a fit is resumed,
    everything that affects its result is compared first, including the number of epochs; only `n_jobs`, `device`,
    `float32_precision`, `average_mirrored`, `verbose` and callbacks may change. A fit that a callback stopped is
    resumed. If something differs, or the file is damaged, `fit` raises a ValueError and leaves the file unchanged;
    delete the file to start again. With ``random_state=None`` the seed of the checkpoint is used. A RandomState
    instance gives another seed to every fit, so an int is easier to repeat. If two fits start before the file exists,
    the one that writes first owns it; the other warns and continues without a checkpoint. The file is written under
    another name and then moved, so it is complete whenever the process is killed. A link stays, and its target is
    replaced. A kill may leave a hidden file beside it whose name ends in ``.skconvnet-part``; the next such `fit`
    removes it. Nothing in a checkpoint is executed when it is read. `warm_start` and `partial_fit` cannot be combined
    with a checkpoint.

    The results of a GPU differ from those of a CPU by rounding, which training may amplify. On one device, the same
    `random_state` gives the same bits in every fit that finds enough free memory for whole minibatches; else they are
    divided. A fitted estimator is not tied to a device: ``set_params`` changes it between two calls, also for
    `warm_start`, `partial_fit` and `checkpoint`. Where there is no GPU, an estimator with ``device="cuda"`` predicts on
    the CPU. Training images stay on the GPU if they take at most three quarters of its free memory; more are sent in
    parts. Processes of a search share the GPU and its memory, and wait up to a minute for each other. A process that
    was forked after its parent had used a GPU cannot use it: it predicts on the CPU.

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

    _parameter_constraints: dict = {  # noqa: RUF012 - scikit-learn's name; nothing changes it
        **BaseConvNet._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "label_smoothing": [Numbers(Real, 0, 1, closed="left")],
        "widen_classes": ["boolean"],
    }
    _target_attributes = ("classes_",)
    _least_outputs = 2
    _check_images_and_targets = staticmethod(check_images_and_labels)

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
        rounding="floor",
        image_shape=None,
        solver="adam",
        alpha=0.01,
        batch_size="auto",
        learning_rate="one-cycle",
        learning_rate_init=0.005,
        power_t=0.5,
        momentum=0.9,
        nesterovs_momentum=True,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        max_iter="auto",
        shuffle=True,
        tol=1e-4,
        n_iter_no_change=10,
        early_stopping=False,
        validation_fraction=0.1,
        warm_start=False,
        class_weight=None,
        label_smoothing=0.1,
        widen_classes=False,
        augment=None,
        average_mirrored=False,
        device="auto",
        float32_precision="ieee",
        n_jobs=None,
        random_state=None,
        verbose=0,
        checkpoint=None,
        pretrained=None,
        freeze=None,
        body_rate=0.03,
        head_first=True,
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
        self.rounding = rounding
        self.image_shape = image_shape
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.widen_classes = widen_classes
        self.augment = augment
        self.average_mirrored = average_mirrored
        self.device = device
        self.float32_precision = float32_precision
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.checkpoint = checkpoint
        self.pretrained = pretrained
        self.freeze = freeze
        self.body_rate = body_rate
        self.head_first = head_first

    @checked_arguments
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train the network for one epoch on these images, at a constant learning rate or with "invscaling".

        Each call continues where the previous one ended, with the state of the optimizer. After `fit`, that state only
        exists if `warm_start` was True. Without it, there is a warning, because the first steps of Adam are large.

        Parameters
        ----------
        X : array-like, shape (n, height * width * channels), (n, height, width) or (n, height, width, channels)
            The images. Those of the first call determine how pixels are standardised.
        y : array-like of shape (n,), or (n, n_outputs)
            The labels, or an indicator matrix.
        classes : array-like of shape (n_classes,), default=None
            All labels that can occur in y in any call. Needed in the first call, optional later and for an indicator
            matrix. With `widen_classes` it is always optional: labels that it or y has are added to those before.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images, relative to the others of this call.

        Returns
        -------
        ConvNetClassifier
            The fitted estimator.

        Raises
        ------
        ValueError, FloatingPointError
            As `fit`. Also if ``early_stopping=True``, ``class_weight="balanced"`` or a `checkpoint` is set, which
            `partial_fit` does not support.
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "partial_fit does not support class_weight='balanced': it sees the data in parts. Give class_weight as "
                "a dict."
            )
        if classes is not None and np.ndim(classes) != 1:
            raise ValueError(f"classes={classes!r} has to be a list of all labels, such as range(10) or np.unique(y).")
        fit = self._begin_stream(X, y, sample_weight)
        data = self._check_data(X, y, sample_weight, fit, partial(self._kind_of_stream, fit.previous, classes))
        if fit.previous is not None and data.kind.n_outputs > len(self.classes_):
            fit.widen(data.kind.classes)
        fit.run(replace(data, examples=data.kind.weigh(data.examples, self)))
        return self

    def decision_function(self, X):
        """Compute the scores of the classes, of which softmax makes probabilities.

        Parameters
        ----------
        X : array-like, shape (n, height * width * channels), (n, height, width) or (n, height, width, channels)
            The images, of the same size as in `fit`.

        Returns
        -------
        ndarray of float64, shape (n, n_classes), or (n,) if there are two classes
            The scores. With two classes, their difference: positive where the second class is more likely.
        """
        scores = self._scores(X)
        return self._scorer_cache.kind.decide(scores)

    def predict(self, X):
        """Predict the labels of images.

        Parameters
        ----------
        X : array-like, shape (n, height * width * channels), (n, height, width) or (n, height, width, channels)
            The images, of the same size as in `fit`.

        Returns
        -------
        ndarray of shape (n,), or of int64 and shape (n, n_outputs)
            The most likely labels; of several labels, 1 where the probability is above 0.5.
        """
        scores = self._scores(X)
        return self._scorer_cache.kind.predict(scores)

    def predict_proba(self, X):
        """Predict the probabilities of the classes.

        Parameters
        ----------
        X : array-like, shape (n, height * width * channels), (n, height, width) or (n, height, width, channels)
            The images, of the same size as in `fit`.

        Returns
        -------
        ndarray of float64, shape (n, n_classes)
            Probabilities in the order of `classes_`; each row sums to 1, except that several labels have each a
            probability of their own.
        """
        scores = self._scores(X)
        return self._scorer_cache.kind.probabilities(scores)

    def predict_log_proba(self, X):
        """Predict the logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : array-like, shape (n, height * width * channels), (n, height, width) or (n, height, width, channels)
            The images, of the same size as in `fit`.

        Returns
        -------
        ndarray of float64, shape (n, n_classes)
            The logarithms, in the order of `classes_`. They are finite even if a probability is 0.0 as a float.
        """
        scores = self._scores(X)
        return self._scorer_cache.kind.log_probabilities(scores)

    def score(self, X, y, sample_weight=None):
        """Return the accuracy on images and labels.

        Parameters
        ----------
        X : array-like, shape (n, height * width * channels), (n, height, width) or (n, height, width, channels)
            The images, of the same size as in `fit`.
        y : array-like of shape (n,) or (n, n_outputs)
            The true labels.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images.

        Returns
        -------
        float
            The weighted part of the images whose label is predicted correctly; of several labels, all of them.
        """
        return super().score(X, convert_labels(y), sample_weight)

    def score_map(self, X):
        """Compute the scores of the classes at every position of the network in larger images.

        The network is run once over each image, with its FC layers as CONV layers and its ``POOL(F=all)`` as sliding
        POOL layers. The distance between neighbouring scores is the stride of the network: the product of the strides
        of its layers.

        Parameters
        ----------
        X : array-like, shape (n, height, width) or (n, height, width, channels)
            Images that are at least as large as those in `fit`, all of one size.

        Returns
        -------
        ndarray of float64, shape (n, rows, columns, n_classes)
            The scores: one for each class, also if there are two classes.

        Raises
        ------
        ValueError
            If the images are smaller than those in `fit` or have another number of channels, and with
            ``average_mirrored=True``. Also if they do not fit the strides of the network, or the network has
            NORM(layer), which takes its mean over the whole image (`ArchitectureError`).

        Notes
        -----
        Without zero-padding, and if the windows of every POOL fit, the result is that of `decision_function` on the
        crops at the network's stride, for a fraction of the work. With zero-padding the results differ: the border of
        a crop is padded with zeros where the larger image has pixels. The conversion of FC layers to CONV layers is
        from the CS231n notes, section "Converting Fully-Connected Layers to Convolutional Layers".

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
        return self._score_map(X)

    def to_onnx(self, path=None, *, input="images", dtype="uint8", batch_size=None):
        """Convert the fitted network to an ONNX model, which ONNX Runtime and others run without this package.

        The model takes pixels as `fit` does, from 0 to 255 if the training data are so: they are standardised inside.

        Parameters
        ----------
        path : str or path-like, default=None
            A file to write the model to, whose name ends in .onnx. An existing file is replaced.
        input : {"images", "rows"}, default="images"
            The shape of the model's input X: (n, height, width, channels) or (n, height * width * channels).
        dtype : {"uint8", "float32"}, default="uint8"
            The dtype of X.
        batch_size : int, default=None
            The number of images in each X. None: any number.

        Returns
        -------
        onnx.ModelProto
            Its outputs have the names that skl2onnx gives them: "label", of shape (n,), and "probabilities", float32 of
            shape (n, n_classes) in the order of `classes_`. Of several labels, "label" is the indicator matrix, int64.

        Raises
        ------
        ImportError
            If onnx is not installed.
        ValueError
            If an argument is invalid, with ``average_mirrored=True``, if the labels are neither numbers, booleans nor
            texts, if a NORM(lrn) has an even size, if the model would be larger than 2 GiB, or if the file cannot be
            written.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from skconvnet import ConvNetClassifier
        >>> X, y = load_digits(return_X_y=True)
        >>> classifier = ConvNetClassifier(K=8, max_iter=1, random_state=0).fit(X, y)
        >>> model = classifier.to_onnx(input="rows", dtype="float32")  # doctest: +SKIP
        >>> [output.name for output in model.graph.output]  # doctest: +SKIP
        ['label', 'probabilities']
        """
        return self._to_onnx(path, input=input, dtype=dtype, batch_size=batch_size)

    @property
    def _kind(self):
        return Labels(self.classes_) if vars(self).get("multilabel_") else Classes(self.classes_)

    def _new_kind(self, y, weights):
        return Classes.of(y) if y.ndim == 1 else Labels.of(y)

    def _kind_of_stream(self, previous, classes, y, weights):
        if previous is None:
            has_several = y.ndim == 2
        else:
            has_several = isinstance(self._kind, Labels)
        if self.widen_classes and (has_several or y.ndim == 2):
            raise ValueError(
                "widen_classes=True adds classes of which each image has one, and here an image has several labels. "
                "Use widen_classes=False, and give y a column for each label that can occur."
            )
        if not has_several:
            return Classes(self._check_classes(classes, previous, y))
        kind = Labels.of(y) if previous is None else self._kind
        if classes is not None and len(classes) != kind.n_outputs:
            raise ValueError(
                f"classes has {len(classes)} labels and y has {kind.n_outputs} columns. With an indicator matrix, "
                "classes may be left out."
            )
        return kind

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _check_classes(self, classes, previous, y):
        """Return the sorted labels that `partial_fit` may be given: from `classes`, or from the call before.

        With `widen_classes` they are all labels of `classes`, of the call before, and of y.
        """
        known = None if previous is None else self.classes_
        given = None if classes is None or np.array_equal(classes, known) else _labels_of(classes)
        if self.widen_classes:
            labels = np.unique(y) if known is None else unite_labels(known, y)
            labels = labels if given is None else unite_labels(labels, given)
        elif given is None and known is not None:
            return known
        else:
            checked = SimpleNamespace() if known is None else SimpleNamespace(classes_=known)
            try:
                _check_partial_fit_first_call(checked, given)
            except ValueError as error:
                raise ValueError(f"{error}{'' if known is None else _WIDER}") from error
            labels = checked.classes_
        if len(labels) < 2:
            names = f"1 class ({labels.tolist()[0]!r})" if len(labels) else "no class"
            which = "y" if classes is None else "classes"
            raise ValueError(f"{which} has {names}; a classifier needs 2 classes or more.")
        return labels


def _labels_of(classes):
    """Return the sorted labels of the argument `classes`."""
    try:
        return unique_labels(check_labels(classes))
    except (TypeError, ValueError) as error:
        raise ValueError(f"classes={classes!r:.80} is invalid (y means classes): {error}") from error
