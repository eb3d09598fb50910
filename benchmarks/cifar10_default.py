"""Accuracy and seconds on CIFAR-10 of the network that ConvNetClassifier() chooses for RGB images, and of others.

Images are drawn from the training images of CIFAR-10, stratified; 5,000 others are the test. Each seed draws both anew
and is the random_state of its fit. "mirrored" is the accuracy where the scores of an image and of its mirror image are
added. "processor" are the seconds that all threads of fit computed, which depend less on what else runs on the machine.

"PyTorch" trains the network that "auto" chooses with the same recipe: Adam with decoupled weight decay, one cycle of
the learning rate, minibatches, epochs, label smoothing, random flips and shifts of up to 4 pixels.
"""

from time import perf_counter, process_time

import numpy as np
from sklearn.model_selection import train_test_split

from benchmarks.arguments import whole_number
from benchmarks.datasets import cifar10
from benchmarks.machine import Side, description, parser, warn_if_busy
from benchmarks.peers import groups, minibatches, module_of, require
from benchmarks.resnet20_cifar import flip_and_crop
from skconvnet import ConvNetClassifier
from skconvnet.engine import Images
from skconvnet.estimators.limits import auto_batch_size, number_of_epochs

AUGMENT = ("flip", "crop")
N_TEST = 5_000
FEW = 200  # images of a first fit, which compiles kernels and imports PyTorch
PLAIN = "INPUT -> [[CONV -> RELU]*N -> POOL?]*M -> [FC -> RELU]*K -> FC"  # what "auto" chooses for grey images
PEER = "PyTorch"


def main(arguments=None):
    command_line = parser(__doc__)
    command_line.add_argument("path", help="image folder or zip archive of the CIFAR-10 training images")
    command_line.add_argument("--cache", help=".npz file for the decoded images")
    command_line.add_argument("--images", type=whole_number(FEW), default=5000, help="to train on (default: 5000)")
    command_line.add_argument("--seeds", type=whole_number(1), default=1, help="(default: 1)")
    command_line.add_argument("--epochs", type=whole_number(1), help='(default: max_iter="auto")')
    command_line.add_argument(
        "--networks",
        nargs="+",
        default=["auto", PLAIN],
        help=f'names and texts, or {PEER} (default: "auto" and the network of grey images)',
    )
    options = command_line.parse_args(arguments)
    if PEER in options.networks:
        require(command_line, "torch")
    print(f"{__doc__}\n{description(options.threads)}\n", flush=True)
    warn_if_busy(options.threads)

    X, X_more, y, y_more = cifar10(options.path, options.cache)
    X, y = np.concatenate([X, X_more]), np.concatenate([y, y_more])
    print(f"{'network':72} {'seed':>4} {'accuracy':>9} {'mirrored':>9} {'fit, s':>8} {'processor, s':>13}")
    for network in options.networks:
        side = Side(options.threads)
        for seed in range(options.seeds):
            data = train_test_split(X, y, train_size=options.images, test_size=N_TEST, stratify=y, random_state=seed)
            if seed == 0:
                side.run(results, network, 1, 0, options.threads, *(part[:FEW] for part in data))
            accuracy, mirrored, seconds, computed = side.run(
                results, network, options.epochs or "auto", seed, options.threads, *data
            )
            print(f"{network:72} {seed:4} {accuracy:9.4f} {mirrored:9.4f} {seconds:8.1f} {computed:13.1f}", flush=True)


def results(network, max_iter, seed, n_threads, X, X_test, y, y_test):
    """Return the accuracies without and with mirrored images, and the seconds of fit by the clock and processors."""
    side = TorchSide if network == PEER else ConvNetClassifier
    classifier = side(
        **({} if network == PEER else {"architecture": network}),
        max_iter=max_iter,
        augment=AUGMENT,
        n_jobs=n_threads,
        random_state=seed,
    )
    started, started_computing = perf_counter(), process_time()
    classifier.fit(X, y)
    computed, seconds = process_time() - started_computing, perf_counter() - started
    scores = classifier.decision_function(X_test)
    both = scores + classifier.decision_function(np.ascontiguousarray(X_test[:, :, ::-1]))
    accuracies = [float(np.mean(classifier.classes_[s.argmax(axis=1)] == y_test)) for s in (scores, both)]
    return *accuracies, seconds, computed


class TorchSide:
    """The network that ConvNetClassifier() chooses, with its recipe, in PyTorch."""

    def __init__(self, max_iter, augment, n_jobs, random_state):
        self.recipe = ConvNetClassifier(max_iter=max_iter, augment=augment, n_jobs=n_jobs, random_state=random_state)

    def fit(self, X, y):
        import torch

        recipe = self.recipe
        torch.manual_seed(recipe.random_state)
        torch.set_num_threads(recipe.n_jobs)
        self.classes_, targets = np.unique(y, return_inverse=True)
        self.mean_, self.scale_ = map(torch.tensor, Images(X, X.shape[1:]).statistics())
        images, targets = torch.tensor(X), torch.tensor(targets)
        self.module_ = module_of("auto", X.shape[1:], len(self.classes_))
        batch_size, n_epochs = auto_batch_size(len(X)), number_of_epochs(recipe.max_iter, len(X), is_augmented=True)
        optimizer = torch.optim.AdamW(groups(self.module_, recipe.alpha), lr=recipe.learning_rate_init, fused=True)
        for chosen in minibatches(optimizer, len(X), batch_size, n_epochs):
            scores = self.module_(flip_and_crop(self.standardised(images[chosen])))
            loss = torch.nn.functional.cross_entropy(scores, targets[chosen], label_smoothing=recipe.label_smoothing)
            loss.backward()
            optimizer.step()
        return self

    def standardised(self, pixels):
        return (pixels - self.mean_) * self.scale_

    def decision_function(self, X):
        import torch

        self.module_.eval()
        with torch.no_grad():
            parts = [self.module_(self.standardised(part)) for part in torch.tensor(X).split(256)]
        return torch.cat(parts).numpy()


if __name__ == "__main__":
    main()
