"""Test accuracy and seconds of fit on Fashion-MNIST, from uint8 images.

MLPClassifier gets pixels in [0, 1] and trains for 20 epochs; its default is 200. PyTorch trains the network that
ConvNetClassifier chose, for as many epochs, in minibatches of 128, with AdamW and one cycle of the learning rate up to
3e-3.
"""

from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

from benchmarks.datasets import fashion_mnist
from benchmarks.machine import Side, description, fit_and_score, parser
from benchmarks.peers import TorchClassifier, require
from skconvnet import ConvNetClassifier


def main():
    command_line = parser(__doc__)
    threads = command_line.parse_args().threads
    require(command_line, "torch")
    scikit_learn, pytorch = Side(threads), Side(threads)
    print(f"{__doc__}\n{description(threads)}\n")
    print(f"{'':34} {'accuracy':>9} {'fit, s':>8} {'compiling, s':>13}")

    def row(name, accuracy, seconds, compiling):
        print(f"{name:34} {accuracy:9.4f} {seconds:8.1f} {compiling:13.2f}", flush=True)

    data = fashion_mnist()
    result, text, n_epochs = scikit_learn.run(fit_score_and_describe, ConvNetClassifier(random_state=0), *data)
    row("ConvNetClassifier()", *result)

    peer = TorchClassifier(text, image_shape=(28, 28, 1), max_iter=n_epochs, batch_size=128)
    pytorch.run(fit_and_score, peer, *(part[:200] for part in data))  # imports PyTorch, which is not timed
    row("PyTorch, the same network", *pytorch.run(fit_and_score, peer, *data))

    peer = make_pipeline(MaxAbsScaler(), MLPClassifier(max_iter=20, random_state=0))
    row("MLPClassifier(max_iter=20)", *scikit_learn.run(fit_and_score, peer, *data))


def fit_score_and_describe(classifier, *data):
    """Return the result of fit_and_score, and what PyTorch needs for the same training: the network and the epochs."""
    result = fit_and_score(classifier, *data)
    return result, classifier.architecture_.text, classifier.n_iter_


if __name__ == "__main__":
    main()
