"""One image file: formats, sizes, crops, colours, transparency, bits, orientation, and broken files."""

import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skconvnet import load_image, load_image_folder
from tests.data.image_files import Image, colour, encoded, gradual, grey

ENDINGS = {"AVIF": "avif", "JPEG2000": "jp2", "PPM": "ppm", "TIFF": "TIF", "WEBP": "webp", "BMP": "bmp", "GIF": "gif"}
ENDINGS |= {"PCX": "pcx", "SGI": "rgb", "TGA": "tga", "PNG": "PNG", "JPEG": "jfif", "QOI": "qoi"}


@pytest.fixture
def stored(tmp_path):
    """`stored(content, name)` writes a file, and returns its path."""

    def write(content, name="1.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    return write


def one(stored, pixels, kind="PNG", channels=None, **options):
    """The image, loaded without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_image(stored(encoded(pixels, kind, **options)), channels=channels)


# Formats


@pytest.mark.parametrize("kind", ENDINGS)
def test_formats(stored, kind):
    Image.init()
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {kind}")
    path = stored(encoded(gradual(), kind), f"a/1.{ENDINGS[kind]}")
    assert_allclose(load_image(path).astype(int), gradual(), atol={"GIF": 40}.get(kind, 16))
    folder = load_image_folder(path.parents[1])
    assert folder.filenames.tolist() == [f"a/1.{ENDINGS[kind]}"]
    assert_array_equal(folder.data[0], load_image(path))


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP"])
def test_of_several_pictures_the_first_is_read(stored, kind):
    first, second = (Image.fromarray(grey(value, 16, 16)) for value in (60, 200))
    path = stored(encoded(first, kind, save_all=True, append_images=[second]))
    assert_allclose(load_image(path, channels=1).astype(int), 60, atol=2)


# Sizes


def test_the_same_pixels_as_in_a_folder(stored):
    """Whatever else is in the folder: grey and colour, turned, large, transparent, of 16 bits."""
    turned = Image.Exif()
    turned[0x0112] = 6
    large = np.kron(colour(1, 9, 12), np.ones((40, 40, 1), np.uint8))
    clear = Image.fromarray(colour(2, 30, 31))
    clear.putalpha(77)
    files = [encoded(large, "JPEG"), encoded(large, "JPEG", exif=turned), encoded(grey(7)), encoded(clear)]
    files += [encoded(Image.fromarray(np.full((40, 20), 40_000, np.uint16))), encoded(gradual(), "WEBP")]
    paths = [stored(content, f"a/{i}.png") for i, content in enumerate(files)]
    for options in ({"size": 20, "channels": 3}, {"size": (8, 24), "channels": 1}, {"size": 20, "crop": "center"}):
        folder = load_image_folder(paths[0].parents[1], **options)
        options = {"channels": 3} | options
        assert_array_equal(folder.data, [load_image(path, **options) for path in paths])
        alone = load_image_folder(paths[0].parents[1], labelled=False, n_jobs=1, **options)
        assert_array_equal(folder.data, alone.data)


@pytest.mark.parametrize("sides", [(64, 64), (64, 200), (200, 64), (33, 47)])
@pytest.mark.parametrize("size", [28, (21, 35)])
def test_crop_is_the_middle_in_the_proportions_of_the_size(stored, sides, size):
    """Against scaling all of the image and cutting out its middle, which rounds the sides to whole pixels."""
    row, column = np.mgrid[: sides[0], : sides[1]]
    pixels = np.stack([255 * row / sides[0], 255 * column / sides[1], 0 * row], 2).astype(np.uint8)
    found = load_image(stored(encoded(pixels)), size=size, crop="center")
    height, width = (size, size) if isinstance(size, int) else size
    scale = max(height / sides[0], width / sides[1]) * 8 / 7
    whole = np.asarray(Image.fromarray(pixels).resize([round(side * scale) for side in sides[::-1]], 2))
    top, left = (whole.shape[0] - height) // 2, (whole.shape[1] - width) // 2
    assert found.shape == (height, width, 3)
    assert_allclose(found.astype(int), whole[top : top + height, left : left + width], atol=8)


def test_crop_keeps_224_of_256_pixels(stored):
    pixels = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    found = load_image(stored(encoded(pixels)), size=224, crop="center")
    assert_array_equal(found, np.tile(np.arange(16, 240), (224, 1)))


@pytest.mark.parametrize(("orientation", "decoded"), [(1, (120, 80)), (6, (240, 160))])
def test_large_jpegs_are_decoded_smaller(stored, orientation, decoded, monkeypatch):
    """An eighth of the file has twice the size; of the turned file, it has less in one direction."""
    from PIL.JpegImagePlugin import JpegImageFile

    asked, real = [], JpegImageFile.draft
    monkeypatch.setattr(JpegImageFile, "draft", lambda self, *to: asked.append(real(self, *to)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth = Image.fromarray(gradual(6, 9)).resize((960, 640), Image.Resampling.BICUBIC)
    found = load_image(stored(encoded(smooth, "JPEG", exif=exif, quality=95)), size=(40, 60))
    assert [box[2:] for _, box in asked] == [decoded]
    upright = smooth if orientation == 1 else smooth.transpose(Image.Transpose.ROTATE_270)
    assert_allclose(found.astype(int), np.asarray(upright.resize((60, 40), Image.Resampling.BILINEAR)), atol=4)


def test_a_crop_without_a_size(stored):
    with pytest.raises(ValueError, match=r"^crop='center' needs a size, .* such as size=224"):
        load_image(stored(encoded(grey(1))), crop="center")


def test_invalid_parameters():
    for function in (load_image, load_image_folder):
        with pytest.raises(ValueError, match=r"^channels=4 is invalid. Use None, 1 \(grey\) or 3 \(RGB\)"):
            function("nowhere", channels=4)
        with pytest.raises(ValueError, match=r"^crop='middle' is invalid\. Use None or 'center'"):
            function("nowhere", size=3, crop="middle")


# Paths and broken files


def test_paths_that_are_no_image(stored, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"elsewhere\.png' does not exist. Pass the path of an image"):
        load_image(tmp_path / "elsewhere.png")
    with pytest.raises(ValueError, match=r"is a directory\. Read it with load_image_folder"):
        load_image(tmp_path)
    for content in (b"", b"This is no image.", encoded(colour(0, 64, 64))[:-600], encoded(grey(1), "EPS")):
        with pytest.raises(ValueError, match=r"^'.*1\.png' cannot be read as an image: ") as caught:
            load_image(str(stored(content)))
        assert "BytesIO" not in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no FIFOs")
def test_a_fifo_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "1.png")
    with pytest.raises(ValueError, match="cannot be read as an image: it is not a regular file"):
        load_image(tmp_path / "1.png")


def test_more_pixels_than_pillow_allows(stored, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    for kind in ("PNG", "TIFF", "WEBP"):
        with pytest.raises(ValueError, match=r"exceeds limit of 80 pixels"):
            load_image(stored(encoded(grey(1, 9, 9), kind)), size=4)


def test_a_size_that_exceeds_memory(stored):
    with pytest.raises(ValueError, match=r"^1 images of 90000000 x 80000000 x 3 need 21,600,000,000,000,000 bytes"):
        load_image(stored(b"never decoded"), size=(90_000_000, 80_000_000))


# Bits


@pytest.mark.parametrize("value", [0, 1, 255, 256, 1000, 32768, 65535])
def test_of_16_bits_the_upper_8_are_kept(stored, value):
    image = Image.fromarray(np.full((4, 5), value, np.uint16))
    path = stored(encoded(image))
    if value >= 1 << 14:
        assert_array_equal(one(stored, image), grey(value >> 8))
        return
    message = rf"^'.*1\.png' has 16 bits .* no value above {value}, .* levels 0 to {value >> 8} of 255"
    with pytest.warns(UserWarning, match=message) as warned:
        assert_array_equal(load_image(path), grey(value >> 8))
    assert warned[0].filename == __file__
    with pytest.warns(UserWarning, match=rf"^'.*images' has 16 bits .* no value above {value}") as warned:
        load_image_folder(path.parent, labelled=False)
    assert warned[0].filename == __file__


@pytest.mark.parametrize("kind", ["TIFF", "PPM"])
def test_16_bits_in_other_formats(stored, kind):
    image = Image.fromarray(np.full((4, 5), 43_210, np.uint16))
    assert_array_equal(one(stored, image, kind), grey(43_210 >> 8))


@pytest.mark.parametrize(("dtype", "what"), [("f4", "floating-point numbers"), ("i4", "integers of 32 bits")])
def test_pixels_without_a_known_range(stored, dtype, what):
    with pytest.raises(ValueError, match=rf"its pixels are {what}, in a range that is not known: scale them"):
        load_image(stored(encoded(Image.fromarray(np.ones((4, 5), dtype)), "TIFF")))


def test_of_16_bits_in_colour_the_upper_8_are_kept(stored):
    pixels = np.random.default_rng(0).integers(0, 65536, (4, 5, 3))
    found = load_image(stored(png_of_16_bits(pixels)))
    assert_array_equal(found, pixels >> 8)


def png_of_16_bits(pixels):
    """A PNG of RGB with 16 bits, which Pillow does not write. Source: PNG specification, sections 5 and 11."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows, columns, _ = pixels.shape
    header = struct.pack(">IIBBBBB", columns, rows, 16, 2, 0, 0, 0)
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in pixels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


# Colours


def test_one_bit(stored):
    pixels = np.eye(4, 5) > 0
    assert_array_equal(one(stored, Image.fromarray(pixels)), np.where(pixels, 255, 0))


def test_palette(stored):
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    expected = np.array([[[10, 20, 30], [40, 50, 60]], [[70, 80, 90], [40, 50, 60]]])
    assert_array_equal(one(stored, image), expected)
    expected[0, 0], expected[0, 1] = 255, [148, 152, 157]  # invisible, and half transparent on white
    expected[1, 1] = expected[0, 1]
    found = one(stored, image, transparency=bytes([0, 128, 255]))
    assert_allclose(found.astype(int), expected, atol=1)


@pytest.mark.parametrize("alpha", [0, 100, 255])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_transparent_pixels_are_laid_on_white(stored, alpha, kind):
    image = Image.fromarray(colour(0))
    image.putalpha(alpha)
    white = 255 - (255 - colour(0).astype(float)) * alpha / 255
    assert_allclose(one(stored, image, kind).astype(int), white, atol=1)
    if alpha == 255:
        assert_array_equal(one(stored, image, kind), colour(0))


def test_transparent_grey(stored):
    image = Image.fromarray(grey(9))
    image.putalpha(0)
    assert_array_equal(one(stored, image), grey(255))
    assert_array_equal(one(stored, Image.fromarray(grey(9)), channels=3, transparency=9), 255)
    assert_array_equal(one(stored, Image.fromarray(grey(9)), channels=3, transparency=8), 9)


def test_cmyk(stored):
    rgb = gradual()
    found = one(stored, Image.fromarray(rgb).convert("CMYK"), "JPEG")
    assert found.shape == rgb.shape
    assert_allclose(found.astype(int), rgb, atol=12)


def test_grey_jpeg(stored):
    assert_array_equal(one(stored, grey(100), "JPEG"), grey(100))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_orientation(stored, kind):
    upright = np.repeat(np.repeat(np.array([[0, 60, 120], [180, 210, 240]], np.uint8), 16, axis=0), 16, axis=1)
    stored_as = {  # EXIF 2.3, tag 0x0112: the sides of the image at which the first stored row and column belong
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright.T[::-1, ::-1],
        8: upright.T[:, ::-1],
    }
    X = []
    for orientation, pixels in stored_as.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        X.append(load_image(stored(encoded(np.ascontiguousarray(pixels), kind, exif=exif))))
    assert_allclose(np.array(X).astype(int), [upright] * 8, atol=0 if kind == "PNG" else 6)
