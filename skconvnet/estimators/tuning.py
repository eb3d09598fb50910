"""What a fit trains: a whole network, or the part behind layers whose weights stay as they are.

The activations that frozen layers end in never change. If nothing changes the images either, they are computed once, by
the kernels that score, and the rest of the network is trained on them as if they were images.
"""

from dataclasses import dataclass

import numpy as np

from skconvnet._system import machine_memory
from skconvnet.architecture import Volume, walk
from skconvnet.architecture.errors import did_you_mean
from skconvnet.engine import Images, Learned, Network, OptimizerState, Scorer, split_architecture
from skconvnet.estimators.head import NEARLY_STRAIGHT, pooled, with_head
from skconvnet.estimators.pretrained import body_of, head_of
from skconvnet.estimators.scoring import compute_scores

_SHARE = 0.5  # of the machine's memory: what activations may take
_BOUNDED = "RELU6", "TANH", "SIGMOID", "HSIGMOID"  # what would cut off or bend the scores of a regression


def frozen_layers(bound, freeze):
    """Return the names of the layers that the parameter `freeze` keeps from learning.

    Parameters
    ----------
    bound : BoundArchitecture
        The network.
    freeze : str or None
        "body", the name of a layer, or None.

    Returns
    -------
    frozenset of str
        All layers before the head, or all up to the one that is named.

    Raises
    ------
    ValueError
        If no layer before the head has this name.

    Examples
    --------
    >>> from skconvnet import Architecture
    >>> bound = Architecture.parse("INPUT -> CONV -> RELU -> FC -> RELU -> FC").bind((8, 8, 1))
    >>> sorted(frozen_layers(bound, "RELU 1"))
    ['CONV 1', 'RELU 1']
    """
    if freeze is None:
        return frozenset()
    body = body_of(bound)
    if freeze == "body":
        return body
    every = [layer.name for layer in walk(bound.layers)]
    names = [name for name in every if name in body]
    if freeze not in names:
        hint = "" if freeze in every else did_you_mean(freeze, ["body", *names])
        some = names if len(names) < 6 else [*names[:2], "...", names[-1]]
        raise ValueError(
            f"freeze={freeze!r} is no layer before the head{hint or '.'} The head, "
            f"{bound.layers[head_of(bound)].name}, has to learn. Choose 'body', for all layers before it, or the last "
            f"layer to keep: {', '.join(some)}."
        )
    return frozenset(names[: names.index(freeze) + 1])


def head_reads_features(bound):
    """Return whether the head of a network reads what other layers with weights have computed.

    Examples
    --------
    >>> from skconvnet import Architecture
    >>> texts = "INPUT -> FC", "INPUT -> CONV -> FC"
    >>> [head_reads_features(Architecture.parse(text).bind((8, 8, 1))) for text in texts]
    [False, True]
    """
    return any(layer.kind in ("CONV", "FC") for layer in walk(bound.layers[: head_of(bound)]))


def check_head(bound, is_straight=False):
    """Raise a ValueError if the head of a network cannot begin as a regression on features.

    With `is_straight`, no activation may follow it, because the scores themselves count and not their differences.
    """
    head = bound.layers[head_of(bound)]
    if head_reads_features(bound) and (head.kind not in ("CONV", "FC") or getattr(head, "groups", 1) > 1):
        raise ValueError(
            "head_first=True needs a head that is an FC, or a CONV without groups, outside branches. That of this "
            f"network is {head}. Use head_first=False."
        )
    bounded = [
        layer for layer in bound.layers[head_of(bound) :] if layer.kind in (*_BOUNDED, *is_straight * NEARLY_STRAIGHT)
    ]
    if head_reads_features(bound) and bounded:
        raise ValueError(
            f"head_first=True needs scores without a limit, and those of this network end in {bounded[0].kind}. "
            "Use head_first=False."
        )


def first_trained(bound, frozen, changes_images):
    """Return how many layers of the chain can be computed once for all epochs.

    Parameters
    ----------
    bound : BoundArchitecture
        The network.
    frozen : frozenset of str
        The names of the frozen layers.
    changes_images : bool
        Whether the images of each minibatch are augmented.

    Returns
    -------
    int
        0 if images change, if the last frozen layer is inside branches, or if no weights are frozen. Layers that
        neither learn nor drop anything are computed with those before them.

    Examples
    --------
    >>> from skconvnet import Architecture
    >>> bound = Architecture.parse("INPUT -> CONV -> RELU -> POOL -> DROPOUT(0.5) -> FC").bind((8, 8, 1))
    >>> first_trained(bound, frozen_layers(bound, "CONV 1"), changes_images=False)
    3
    """
    layers = bound.layers
    names = [frozenset(layer.name for layer in walk([layer])) for layer in layers]
    number = next(n for n, inside in enumerate(names) if not inside <= frozen)
    learns = any(layer.kind in ("CONV", "FC") for layer in walk(layers[:number]))
    if changes_images or not learns or names[number] & frozen:
        return 0
    while not (layers[number].n_weights or layers[number].kind == "DROPOUT" or hasattr(layers[number], "branches")):
        number += 1
    return number


@dataclass(frozen=True, eq=False)
class TrainedPart:
    """The part of a network that a fit trains.

    Parameters
    ----------
    whole : Network
        The network as it was at the beginning.
    network : Network
        The part to train, which is `whole` if `body` is None.
    body : Scorer or None
        What computes the images of the part from those of the network.
    n_jobs : int or None
        As in `ConvNetClassifier`.
    """

    whole: Network
    network: Network
    body: Scorer | None = None
    n_jobs: int | None = None

    @classmethod
    def behind(cls, network, n_frozen, n_jobs):
        """Return the part behind the first `n_frozen` layers of a network."""
        if n_frozen == 0:
            return cls(network, network, n_jobs=n_jobs)
        first, second = split_architecture(network.architecture, n_frozen)
        body = Network(first, network.mean, network.scale, network.device)
        channels = second.image_shape[2]
        part = Network(second, np.zeros(channels), np.ones(channels), network.device)
        body.learned, part.learned = _split(network.learned, part)
        return cls(network, part, Scorer(body), n_jobs)

    def images(self, images):
        """Return the images to train on: `images`, or the activations that the frozen layers end in.

        If these take too much memory, they are computed again whenever they are read. The bits are the same.
        """
        if self.body is None:
            return images
        activations = self.again(images)
        if 4 * len(images) * self.body.output.size > _SHARE * machine_memory():
            return activations
        return Images(activations.rows(slice(None)), activations.shape)

    def features(self, images, activations):
        """Compute the mean of each depth slice that the head reads.

        Parameters
        ----------
        images : Images
            All training images.
        activations : Images
            What the method `images` makes of them.

        Returns
        -------
        ndarray of float64, shape (n, depth)

        Raises
        ------
        ValueError
            If one is not finite.
        """
        own = self.network.architecture
        if self.body is None or any(layer.kind != "DROPOUT" for layer in own.layers[: head_of(own)]):
            activations = TrainedPart.behind(self.whole, head_of(self.whole.architecture), self.n_jobs).again(images)
        features = pooled(activations, Volume(*activations.shape))
        if not np.isfinite(features).all():
            raise ValueError(
                "The pretrained network computes numbers from X that are not finite in float32. Are its weights "
                "intact, and are the pixels like those that it was trained on?"
            )
        return features

    def begin_head(self, features, examples, indices, kind):
        """Have the head begin as a regression, where the targets allow one.

        Parameters
        ----------
        features : ndarray of float64, shape (n, depth)
            What it reads of the images to train on.
        examples : LabelledImages
            The targets and weights of all training images.
        indices : ndarray of int64
            The images to train on.
        kind : Classes, Labels or Values
            What the targets mean.
        """
        own, network = self.network.architecture, self.network
        regression = kind.regress(features, examples.targets[indices], examples.weights[indices])
        if regression is None:
            return
        network.learned = with_head(own, head_of(own), network.learned, features, *regression)

    def again(self, images):
        """Return the activations of images, which are computed whenever they are read."""
        return Activations(images.pixels, self.network.architecture.image_shape, of=images, part=self)

    def scores(self, images):
        """Compute the activations of images, float32 of shape (n, size)."""
        return compute_scores(self.body, images, self.n_jobs)

    def learned(self, parameters):
        """Return what the whole network has learned, given the parameters of the part."""
        own = self.network.parameter_layout.unpack(parameters)
        return own if self.body is None else _join(_split(self.whole.learned, self.network)[0], own)

    def parameters(self, parameters):
        """Return a copy of the parameters of the part, with the frozen ones of the whole network."""
        if self.body is None:
            return parameters.copy()
        return self.whole.parameter_layout.pack(self.learned(parameters))

    def optimizer_of_whole(self, state):
        """Return a copy of an optimizer's state for the whole network, which has zeros for the frozen layers."""
        return OptimizerState(np.stack([self._of_whole(moment) for moment in state.moments]), state.n_steps)

    def optimizer_of_part(self, state):
        """Return an optimizer's state for the part; raise a ValueError if it belongs to another network."""
        state.check_size(self.whole.parameter_layout.size)
        if self.body is None:
            return state
        own, layout = self.network.parameter_layout, self.whole.parameter_layout
        moments = [own.pack(_split(layout.unpack(moment), self.network)[1]) for moment in state.moments]
        return OptimizerState(np.stack(moments), state.n_steps)

    def _of_whole(self, vector):
        if self.body is None:
            return vector
        layout = self.whole.parameter_layout
        zeros, _ = _split(layout.unpack(np.zeros(layout.size, np.float32)), self.network)
        return layout.pack(_join(zeros, self.network.parameter_layout.unpack(vector)))


def _split(learned, last):
    """Split what a network has learned: what the network `last`, its last part, has is the end of each list."""
    sizes = [len(whole) - len(own) for whole, own in zip(learned, last.parameter_layout.shapes, strict=True)]
    pairs = list(zip(learned, sizes, strict=True))
    return Learned(*(arrays[:size] for arrays, size in pairs)), Learned(*(arrays[size:] for arrays, size in pairs))


def _join(first, last):
    return Learned(*(one + other for one, other in zip(first, last, strict=True)))


@dataclass(frozen=True)
class Activations(Images):
    """The activations of images, computed whenever they are read.

    Parameters
    ----------
    pixels, shape, largest, on_device
        As `Images` has them: the pixels of `of`, and the shape of the activations.
    of : Images
        The images.
    part : TrainedPart
        What computes the activations.
    """

    of: Images = None
    part: TrainedPart = None

    is_direct = are_bytes = False

    def rows(self, which, dtype=np.float32):
        """Return the activations of some of the images."""
        return self.part.scores(self.of.take(which)).astype(dtype, copy=False)
