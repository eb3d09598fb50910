"""ConvNetRegressor: parameters, fit and prediction. The work is done in data, architecture, engine and training."""

from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils._param_validation import StrOptions

from skconvnet.data import check_images_and_numbers
from skconvnet.estimators.base import BaseConvNet
from skconvnet.estimators.parameters import checked_arguments
from skconvnet.estimators.targets import LOSSES, Values


class ConvNetRegressor(RegressorMixin, BaseConvNet):
    """Convolutional network regressor for images.

    The network is a text in the notation of CS231n, or is chosen for the size of the images. It computes one or several
    numbers for each image. The targets are standardised inside. Parameters that `sklearn.neural_network.MLPRegressor`
    also has mean the same here, and those that `ConvNetClassifier` also has mean the same there.

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
    loss : {"squared_error", "absolute_error", "huber"}, default="squared_error"
        The loss, of standardised targets, averaged over the outputs. "squared_error" is half the square. "huber" is
        half the square up to a delta of 1, which is one standard deviation of y, and linear beyond it. Scaling y
        does not change delta, since y is standardised.
    image_shape : tuple of int, default=None
        (height, width, channels) of the images, or (height, width) of grey images. If None, it is taken from X. If X
        has rows, None means a square grey image if the number of features is a square, else a square RGB image if it
        is three times a square, else a strip one pixel high. A row contains the pixels of an image row by row, and the
        channels of a pixel next to each other.
    solver : {"adam", "sgd"}, default="adam"
        The optimizer. With k outputs, the gradient of MLPRegressor is k times as large, which matters to "sgd": the
        same steps need k times the `learning_rate_init`.
    alpha : float, default=0.01
        Strength of the weight decay. With "adam" it is decoupled from the gradient: each step subtracts
        ``learning_rate * alpha`` of every weight. With "sgd" it is the L2 term of MLPRegressor.
    batch_size : int or "auto", default="auto"
        Number of images in a minibatch. "auto" is between 32 and 128, depending on the number of images.
    learning_rate : {"one-cycle", "constant", "invscaling", "adaptive"}, default="one-cycle"
        Schedule of the learning rate, with either solver. "one-cycle" rises to ``learning_rate_init`` and falls to zero
        over `max_iter` epochs. "adaptive" divides the rate by five at the same point as MLPRegressor. "invscaling"
        gives an epoch that begins after t images the rate ``learning_rate_init / (t + 1) ** power_t``; t counts each
        image as often as it was seen, also in the fits that `warm_start` and `partial_fit` resume.
    learning_rate_init : float, default=0.005
        The initial learning rate; with "one-cycle" the highest. "sgd" needs a higher one, such as 0.03.
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
        Where to compute. "cuda" is an NVIDIA GPU. It needs ``pip install 'skconvnet[cuda]'``, compute capability 7.5
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
        them, or a `sklearn.frozen.FrozenEstimator` of a fitted classifier or regressor. For a file that needs further
        arguments, load it with `load_network` and freeze the result. ``architecture="auto"`` is then its architecture,
        and another one must be the same up to the head, the last CONV or FC. The head is new. Pixels are standardised
        as there. The images may have another height and width, where the layers fit. A `fit` that `warm_start`
        continues, and later calls of `partial_fit`, do not read it again.
    freeze : str or None, default=None
        What of the pretrained network stays as it is: "body", all layers before the head, or a layer such as "CONV 3"
        and all before it; DROPOUT there drops nothing. Without `augment`, the activations that these layers end in are
        computed once. To unfreeze layers later, use ``set_params`` and `warm_start`; the optimizer then begins anew.
        Frozen or not, each NORM(batch) before the head keeps its running mean and variance: those of few images would
        be worse. If it is not frozen, its scales and shifts learn.
    body_rate : float, default=0.03
        The learning rate of pretrained layers before the head, as a part of `learning_rate_init`.
    head_first : bool, default=True
        Whether a new head begins as scikit-learn's Ridge on the means of what it reads, and not with random weights.
        False is needed if an activation follows the head. Where such a head reads many or large numbers, its learning
        rate is lower, since it would be undone at once.

    Attributes
    ----------
    n_outputs_ : int
        The number of outputs.
    target_mean_, target_scale_ : ndarray of float64, shape (`n_outputs_`,)
        Targets are standardised as ``(y - target_mean_) / target_scale_``. Computed from the training data, with their
        weights. The scale of a constant output is 1.
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
        The training loss of the last epoch, of standardised targets.
    loss_curve_ : list of float
        The training loss of every epoch.
    r2_curve_ : list of float
        R2 on the training data in every epoch: one minus the mean squared error of standardised targets. Each image is
        scored just before its minibatch is used for a step, after augmentation and with DROPOUT.
    learning_rate_curve_ : list of float
        The mean learning rate of the steps of every epoch.
    best_loss_ : float or None
        The lowest training loss; None if `early_stopping`.
    validation_scores_ : list of float or None
        R2 on the validation set after every epoch, if there is one.
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
        If rows are taken for RGB images or for strips one pixel high, a column of X is named like a label, images seem
        to have their channels first, `batch_size` is larger than the number of images, Ctrl-C ended the training, the
        `checkpoint` could not be written, or `partial_fit` starts Adam again on a fitted network.

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
    >>> from skconvnet import ConvNetRegressor
    >>> X, y = load_digits(return_X_y=True)
    >>> brightness = X.mean(axis=1)
    >>> regressor = ConvNetRegressor(K=8, max_iter=5, random_state=0).fit(X[:1000], brightness[:1000])
    >>> bool(regressor.score(X[1000:], brightness[1000:]) > 0.5)
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012 - scikit-learn's name; nothing changes it
        **BaseConvNet._parameter_constraints,
        "loss": [StrOptions(set(LOSSES))],
    }
    _target_attributes = ("target_mean_", "target_scale_")
    _least_outputs = 1
    _check_images_and_targets = staticmethod(check_images_and_numbers)

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
        loss="squared_error",
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
        self.loss = loss
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
    def partial_fit(self, X, y, sample_weight=None):
        """Train the network for one epoch on these images, at a constant learning rate or with "invscaling".

        Each call continues where the previous one ended, with the state of the optimizer. After `fit`, that state only
        exists if `warm_start` was True. Without it, there is a warning, because the first steps of Adam are large.

        Parameters
        ----------
        X : array-like, shape (n, height * width * channels), (n, height, width) or (n, height, width, channels)
            The images. Those of the first call determine how pixels are standardised.
        y : array-like of shape (n,) or (n, n_outputs)
            The targets. Those of the first call determine how targets are standardised.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images, relative to the others of this call.

        Returns
        -------
        ConvNetRegressor
            The fitted estimator.

        Raises
        ------
        ValueError, FloatingPointError
            As `fit`. Also if ``early_stopping=True`` or a `checkpoint` is set, which `partial_fit` does not support.
        """
        fit = self._begin_stream(X, y, sample_weight)
        fit.run(self._check_data(X, y, sample_weight, fit, self._new_kind if fit.previous is None else self._kept_kind))
        return self

    def predict(self, X):
        """Predict the numbers of images.

        Parameters
        ----------
        X : array-like, shape (n, height * width * channels), (n, height, width) or (n, height, width, channels)
            The images, of the same size as in `fit`.

        Returns
        -------
        ndarray of float64, shape (n,) if there is one output, else (n, n_outputs)
            The numbers, in the units of y.
        """
        scores = self._scores(X)
        return self._scorer_cache.kind.predict(scores)

    def score_map(self, X):
        """Compute the numbers at every position of the network in larger images.

        The network is run once over each image: see `ConvNetClassifier.score_map`.

        Parameters
        ----------
        X : array-like, shape (n, height, width) or (n, height, width, channels)
            Images that are at least as large as those in `fit`, all of one size.

        Returns
        -------
        ndarray of float64, shape (n, rows, columns, n_outputs)
            The numbers, in the units of y.

        Raises
        ------
        ValueError
            As `ConvNetClassifier.score_map`.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from skconvnet import ConvNetRegressor
        >>> X, y = load_digits(return_X_y=True)
        >>> regressor = ConvNetRegressor(K=8, max_iter=1, random_state=0).fit(X, X.mean(axis=1))
        >>> two_digits = X[:2].reshape(2, 8, 8).transpose(1, 0, 2).reshape(1, 8, 16)
        >>> regressor.score_map(two_digits).shape
        (1, 1, 5, 1)
        """
        scores = self._score_map(X)
        return scores * self.target_scale_ + self.target_mean_

    def to_onnx(self, path=None, *, input="images", dtype="uint8", batch_size=None):
        """Convert the fitted network to an ONNX model, which ONNX Runtime and others run without this package.

        The model takes pixels as `fit` does: they are standardised inside. Its numbers are in the units of y.

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
            Its output has the name that skl2onnx gives it: "variable", float32 of shape (n, n_outputs), also if there
            is one output.

        Raises
        ------
        ImportError
            If onnx is not installed.
        ValueError
            If an argument is invalid, with ``average_mirrored=True``, if `target_mean_` or `target_scale_` are not
            finite in float32, if a NORM(lrn) has an even size, if the model would be larger than 2 GiB, or if the file
            cannot be written.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from skconvnet import ConvNetRegressor
        >>> X, y = load_digits(return_X_y=True)
        >>> regressor = ConvNetRegressor(K=8, max_iter=1, random_state=0).fit(X, X.mean(axis=1))
        >>> model = regressor.to_onnx(input="rows", dtype="float32")  # doctest: +SKIP
        >>> [output.name for output in model.graph.output]  # doctest: +SKIP
        ['variable']
        """
        return self._to_onnx(path, input=input, dtype=dtype, batch_size=batch_size)

    @property
    def _kind(self):
        return Values(self.target_mean_, self.target_scale_)

    def _new_kind(self, y, weights):
        return Values.of(y, weights)

    def _kept_kind(self, y, weights):
        return self._kind
