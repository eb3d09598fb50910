"""R2 and seconds of fit: the angle and the scale of transformed digits.

Each image is one of scikit-learn's digits on a canvas of 16x16 pixels, rotated by -45 to 45 degrees and scaled by 0.7
to 1.3. The images of the test are of other digits than those of training. Each seed draws both anew and is the
random_state of its fits.

All sides get the same images, and targets that are standardised. "PyTorch" is the network of ConvNetRegressor() with
the same recipe: Adam with decoupled weight decay, one cycle of the learning rate, minibatches, epochs. Seconds are
those of fit, without compiling; "processor" are the seconds that all threads of the process computed, which depend
less on what else runs on the machine.
"""

from time import perf_counter, process_time

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from benchmarks.arguments import whole_number
from benchmarks.datasets import digits
from benchmarks.machine import Side, description, parser, warn_if_busy
from benchmarks.peers import groups, minibatches, module_of, require
from skconvnet import ConvNetRegressor
from skconvnet.estimators.limits import auto_batch_size, number_of_epochs

SIDE = 16
SHAPE = (SIDE, SIDE, 1)
MAGNIFICATION = 1.5  # of a digit of 8x8 pixels at scale 1
FEW = 200  # images of a first fit, which compiles kernels and imports PyTorch


def main(arguments=None):
    command_line = parser(__doc__)
    command_line.add_argument("--images", type=whole_number(FEW), default=5000, help="to train on (default: 5000)")
    command_line.add_argument("--test", type=whole_number(2), default=2000, help="test images (default: 2000)")
    command_line.add_argument("--seeds", type=whole_number(1), default=3, help="(default: 3)")
    command_line.add_argument("--no-peer", action="store_true", help="leave PyTorch out")
    options = command_line.parse_args(arguments)
    if not options.no_peer:
        require(command_line, "torch")
    print(f"{__doc__}\n{description(options.threads)}\n", flush=True)
    warn_if_busy(options.threads)

    sides = {name: Side(options.threads) for name in ("scikit-learn", "PyTorch")}
    results = {}
    for seed in range(options.seeds):
        data = transformed_digits(options.images, options.test, seed)
        for name, (side, regressor) in contestants(seed, options.threads, not options.no_peer).items():
            if name not in results:
                sides[side].run(fit_and_score, regressor, *(part[:FEW] for part in data))
            results.setdefault(name, []).append(sides[side].run(fit_and_score, regressor, *data))

    print(f"{'':32} {'R2':>16} {'angle':>7} {'scale':>7} {'fit, s':>8} {'processor, s':>13}")
    for name, seeds in results.items():
        print(line(name, seeds))


def contestants(seed, n_threads, with_torch=True):
    """Return the name of a side and the regressor, by the name of the contestant."""
    found = {
        "MLPRegressor()": ("scikit-learn", scaled(MLPRegressor(random_state=seed))),
        "SVR()": ("scikit-learn", scaled(MultiOutputRegressor(SVR()))),
        "HistGradientBoostingRegressor()": (
            "scikit-learn",
            scaled(MultiOutputRegressor(HistGradientBoostingRegressor(random_state=seed))),
        ),
        "PyTorch, the same network": ("PyTorch", TorchRegressor(seed, n_threads)),
        "ConvNetRegressor()": ("scikit-learn", ConvNetRegressor(random_state=seed, n_jobs=n_threads)),
    }
    if not with_torch:
        del found["PyTorch, the same network"]
    return found


def scaled(regressor):
    """Return the regressor with targets standardised; in their own units, the loss would hardly depend on the scale."""
    return TransformedTargetRegressor(regressor, transformer=StandardScaler())


def transformed_digits(n_train, n_test, seed):
    """Return X_train, X_test, y_train and y_test: rows of 16x16 pixels, and columns with the angle and the scale."""
    X, _ = digits()
    rng = np.random.default_rng(seed)
    parts = train_test_split(X.reshape(-1, 8, 8), random_state=seed)
    drawn = [transformed(part, n_images, rng) for part, n_images in zip(parts, (n_train, n_test), strict=True)]
    (X_train, y_train), (X_test, y_test) = drawn
    return X_train, X_test, y_train, y_test


def transformed(images, n_images, rng):
    """Return so many transformed images, as rows, with their angles in degrees, clockwise, and their scales."""
    from scipy.ndimage import affine_transform

    chosen = images[np.arange(n_images) % len(images)]
    y = np.column_stack([rng.uniform(-45, 45, n_images), rng.uniform(0.7, 1.3, n_images)])
    X = np.empty((n_images, SIDE, SIDE))
    for n, (image, (angle, scale)) in enumerate(zip(chosen, y, strict=True)):
        cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        matrix = np.array([[cosine, -sine], [sine, cosine]]) / (MAGNIFICATION * scale)
        offset = (np.array(image.shape) - 1) / 2 - matrix @ np.full(2, (SIDE - 1) / 2)
        X[n] = affine_transform(image, matrix, offset, output_shape=(SIDE, SIDE), order=1)
    return X.reshape(n_images, -1), y


def fit_and_score(regressor, X, X_test, y, y_test):
    """Return R2 of the angle and of the scale, and the seconds of fit by the clock and of the processors."""
    started, started_computing = perf_counter(), process_time()
    regressor.fit(X, y)
    computed, elapsed = process_time() - started_computing, perf_counter() - started
    return *r2_score(y_test, regressor.predict(X_test), multioutput="raw_values"), elapsed, computed


def line(name, seeds):
    """Return the line of the table: means over the seeds, and the deviation of R2."""
    angle, scale, seconds, computed = np.transpose(seeds)
    both = (angle + scale) / 2
    return (
        f"{name:32} {both.mean():8.4f} +- {both.std():.4f} {angle.mean():7.4f} {scale.mean():7.4f}"
        f" {seconds.mean():8.2f} {computed.mean():13.2f}"
    )


class TorchRegressor:
    """The network that ConvNetRegressor() chooses, with its recipe, in PyTorch."""

    def __init__(self, seed, n_threads, max_iter="auto", learning_rate=5e-3, weight_decay=0.01):
        self.seed = seed
        self.n_threads = n_threads
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay

    def fit(self, X, y):
        import torch

        torch.manual_seed(self.seed)
        torch.set_num_threads(self.n_threads)
        self.pixels_, self.targets_ = StandardScaler().fit(X.reshape(-1, 1)), StandardScaler().fit(y)
        images, targets = self.tensor(X), torch.tensor(self.targets_.transform(y), dtype=torch.float32)
        self.module_ = module_of("auto", SHAPE, y.shape[1])
        batch_size, n_epochs = auto_batch_size(len(X)), number_of_epochs(self.max_iter, len(X))
        optimizer = torch.optim.AdamW(groups(self.module_, self.weight_decay), lr=self.learning_rate, fused=True)
        for chosen in minibatches(optimizer, len(X), batch_size, n_epochs):
            torch.nn.functional.mse_loss(self.module_(images[chosen]), targets[chosen]).backward()
            optimizer.step()
        return self

    def predict(self, X):
        import torch

        self.module_.eval()
        with torch.no_grad():
            scores = torch.cat([self.module_(images) for images in self.tensor(X).split(256)])
        return self.targets_.inverse_transform(scores.numpy())

    def tensor(self, X):
        import torch

        return torch.tensor(self.pixels_.transform(X.reshape(-1, 1)).reshape(X.shape), dtype=torch.float32)


if __name__ == "__main__":
    main()
