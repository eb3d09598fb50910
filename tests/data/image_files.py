"""Image files for tests."""

import io
import zipfile

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")


def encoded(pixels, kind="PNG", **options):
    """The bytes of a file: uint8 (rows, columns) or (rows, columns, 3), or a Pillow image."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels, np.uint8))
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def grey(value, rows=4, columns=5):
    return np.full((rows, columns), value, np.uint8)


def colour(seed, rows=4, columns=5):
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), np.uint8)


def gradual(rows=16, columns=24):
    """RGB pixels that a JPEG keeps well."""
    row, column = np.mgrid[:rows, :columns]
    return np.stack([8 * row, 6 * column, 4 * (row + column)], axis=2).astype(np.uint8)


def packed(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path
