"""Small networks, what the engine makes of them, and what the oracles say it should have made.

Run as a script, ``python -m tests.engine.networks FILE``, it writes the engine's answers to FILE, so that a test can
ask for them on another machine.
"""

import sys
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from skconvnet.architecture import Architecture, ArchitectureError
from skconvnet.engine import SGD, Images, Network, Trainer
from tests import oracles

# Each kind of layer, at strides and with borders that differ along both axes; POOL that overlaps, leaves gaps,
# overhangs; FC that is cut into several blocks.
VARIED = (
    "INPUT -> CONV(K=5, F=3, S=1, P=1) -> RELU -> POOL(F=2, S=2) -> CONV(K=9, F=5, S=2, P=3, round=floor) -> RELU"
    " -> POOL(F=3, S=2, round=ceil) -> CONV(K=70, F=2, S=1, P=1) -> RELU -> FC(33) -> RELU -> FC"
)
VARIED_SHAPE = (12, 10, 3)


@dataclass(frozen=True)
class Problem:
    """A network with parameters, and a weighted batch of images. Everything is drawn from `seed`."""

    text: str
    shape: tuple
    n: int = 5
    n_classes: int = 3
    label_smoothing: float = 0.1
    seed: int = 0
    bound: object = field(init=False)
    x: np.ndarray = field(init=False)
    targets: np.ndarray = field(init=False)
    weights: np.ndarray = field(init=False)
    parameters: list = field(init=False)  # (weights, biases) of each CONV and FC

    def __post_init__(self):
        rng = np.random.default_rng(self.seed)
        bound = Architecture.parse(self.text).bind(self.shape, self.n_classes)
        network = Network(bound, np.zeros(self.shape[2]), np.ones(self.shape[2]))
        network.initialise(rng)
        made = {
            "bound": bound,
            "x": rng.standard_normal((self.n, *self.shape)).astype(np.float32),
            "targets": rng.integers(0, self.n_classes, self.n),
            "weights": rng.random(self.n) + 0.5,
            "parameters": [(w, 0.3 * rng.standard_normal(w.shape[-1]).astype(np.float32)) for w in network.coefs],
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)

    @property
    def images(self):
        return Images(self.x, self.shape)

    def network(self):
        """The engine's network, with these parameters."""
        network = Network(self.bound, np.zeros(self.shape[2]), np.ones(self.shape[2]))
        network.load(*zip(*self.parameters, strict=True))
        return network

    def trainer(self, network, *, batch_size=None, n_threads=1, optimizer=None, alpha=0.0, state=None, images=None):
        """The engine's trainer: unless told otherwise, its first step's velocity is minus the gradient."""
        return Trainer(
            network,
            images or self.images,
            self.targets,
            self.weights,
            optimizer=optimizer or SGD(momentum=0.0, nesterov=False),
            alpha=alpha,
            label_smoothing=self.label_smoothing,
            batch_size=batch_size or self.n,
            n_threads=n_threads,
            state=state,
        )

    def answers(self, **trainer):
        """What the engine computes: scores, loss, and the gradient of each parameter, by name."""
        network = self.network()
        found = {"scores": network.scores(self.images, 1)}
        trainer = self.trainer(network, **trainer)
        found["loss"] = np.float64(trainer.step(np.arange(self.n), 1.0))
        gradients = network.layout.unpack(-trainer.state.moments[0], network.coef_shapes)
        return found | named(zip(*gradients, strict=True))

    def expected(self):
        """The same in float64, from the oracles."""
        layers = oracles.layers_of(self.bound.layers)
        x, rest = self.x.astype(float), (self.targets, self.weights, self.label_smoothing)
        found = {
            "scores": oracles.forward(layers, self.parameters, x),
            "loss": oracles.loss(layers, self.parameters, x, *rest),
        }
        return found | named(oracles.gradients(layers, self.parameters, x, *rest))


def named(gradients):
    """{"d_weights 1": ..., "d_biases 1": ..., "d_weights 2": ...} of pairs."""
    return {
        f"d_{kind} {number}": gradient
        for number, pair in enumerate(gradients, 1)
        for kind, gradient in zip(("weights", "biases"), pair, strict=True)
    }


def mismatches(found, expected, tolerance=2e-5):
    """Names of the answers that are not, but for rounding, what was expected: {name: how far off}, {} if all are."""
    assert found.keys() == expected.keys()
    off = {}
    for name, wanted in expected.items():
        wanted = np.asarray(wanted)
        error = np.abs(np.reshape(found[name], wanted.shape) - wanted).max(initial=0.0)
        if not error <= tolerance * np.abs(wanted).max(initial=0.0) + 1e-6:  # a NaN is off
            off[name] = error
    return off


def differences(found, expected):
    """Names of the answers of which a bit differs."""
    assert found.keys() == expected.keys()
    return [name for name in expected if np.asarray(found[name]).tobytes() != np.asarray(expected[name]).tobytes()]


# -- Drawn networks ----------------------------------------------------------------------------------------------------


@st.composite
def convs(draw):
    K = draw(st.sampled_from([1, 3, 8, 9, 20]))
    F, S, P = (draw(st.integers(*limits)) for limits in ((1, 6), (1, 4), (0, 4)))
    return f"CONV(K={K}, F={F}, S={S}, P={P}, round={draw(st.sampled_from(['floor', 'ceil']))})"


@st.composite
def pools(draw, torch=False):
    F, S = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    P = draw(st.integers(0, F // 2 if torch else F - 1))
    return f"POOL(F={F}, S={S}, P={P}, round={draw(st.sampled_from(['floor', 'ceil']))})"


@st.composite
def problems(draw, torch=False):
    """Networks of any layers in any order, on images of any shape; those that PyTorch knows if `torch`."""
    low, high = draw(st.sampled_from([((1, 1), (4, 4)), ((5, 5), (11, 11)), ((1, 3), (1, 19)), ((3, 1), (15, 2))]))
    shape = (draw(st.integers(low[0], high[0])), draw(st.integers(low[1], high[1])), draw(st.integers(1, 4)))
    volume = st.one_of(convs(), convs(), pools(torch), st.just("RELU"))
    hidden = st.sampled_from(["FC(7)", "RELU"])
    text = "INPUT"
    for layer in draw(st.lists(volume, min_size=2, max_size=6)) + draw(st.lists(hidden, max_size=3)):
        if fits(f"{text} -> {layer} -> FC", shape):
            text = f"{text} -> {layer}"
    return Problem(
        f"{text} -> FC",
        shape,
        n=draw(st.sampled_from([1, 2, 3, 5, 18])),
        n_classes=draw(st.integers(2, 9)),
        label_smoothing=draw(st.sampled_from([0.0, 0.1])),
        seed=draw(st.integers(0, 99)),
    )


def fits(text, shape):
    """Whether the network binds to images of `shape`, and is small enough for the oracles' loops."""
    try:
        bound = Architecture.parse(text).bind(shape, 3)
    except ArchitectureError:
        return False
    return max(layer.output.size for layer in bound.layers) < 1500


if __name__ == "__main__":
    from skconvnet.engine.cpu import tile

    panels = np.array(tile.PANELS)
    np.savez(sys.argv[1], panels=panels, **Problem(VARIED, VARIED_SHAPE, n=21).answers())
