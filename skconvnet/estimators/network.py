"""From a classifier's parameters, an image shape and classes to a bound architecture."""

from skconvnet.architecture import HYPERPARAMETERS, Hyperparameters, find_architecture


def bind_network(classifier, image_shape, n_classes):
    """Bind the architecture of a classifier as its `fit` does.

    Parameters
    ----------
    classifier : ConvNetClassifier
        Its `architecture` and the parameters in `HYPERPARAMETERS` are read.
    image_shape : tuple of int
        (height, width, channels).
    n_classes : int or None
        Number of classes. None: the width of the last FC in the text, or else 10.

    Returns
    -------
    BoundArchitecture

    Raises
    ------
    ArchitectureError
        If a parameter is wrong, or a layer does not fit its input.
    """
    hyperparameters = Hyperparameters(**{name: getattr(classifier, name) for name in HYPERPARAMETERS})
    architecture = find_architecture(classifier.architecture, image_shape, hyperparameters)
    return architecture.bind(image_shape, n_classes, hyperparameters)
