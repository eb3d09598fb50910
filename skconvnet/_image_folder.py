"""Images from files: a folder, or a zip archive of one, with a folder of JPEGs and PNGs for each class."""

import io
import zipfile
from pathlib import PurePosixPath

import numpy as np


def load_image_folder(path):
    """Load images from a zip archive with one folder for each class.

    Parameters
    ----------
    path : str or path-like
        The archive.

    Returns
    -------
    X : ndarray of uint8, shape (n, height, width, 3)
    y : ndarray of str, shape (n,)
        The names of the folders.
    """
    from PIL import Image

    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith((".jpg", ".png")))
        X = np.stack([np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in names])
    return X, np.array([PurePosixPath(name).parent.name for name in names])
