"""What augmentation draws: the right numbers, equally often, and the same again for the same seed, step and place."""

import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skconvnet.engine.program.instructions import ONE, Warp
from skconvnet.training import Batches
from skconvnet.training.augment import AUGMENTATIONS, make_augmentation

MANY = 40_000
ALL = tuple(AUGMENTATIONS)
CUT = [Warp.CUT_TOP, Warp.CUT_LEFT, Warp.CUT_BOTTOM, Warp.CUT_RIGHT]

choices = st.lists(st.sampled_from(ALL), unique=True, min_size=1)
shapes = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 3))


def draw(augment, image_shape=(32, 32, 3), n=MANY, seed=0, step=0):
    return make_augmentation(augment, image_shape).draw(seed, step, n)


def assert_uniform(values, expected):
    """Each of the expected values about equally often, and no others."""
    found, counts = np.unique(values, return_counts=True)
    assert found.tolist() == list(expected)
    share = 1 / len(expected)
    assert_allclose(counts / len(values), share, atol=5 * np.sqrt(share * (1 - share) / len(values)) + 1e-12)


def test_flip():
    warps = draw("flip")
    assert_uniform(warps[:, Warp.FLIP], [0, 1])
    assert_array_equal(np.delete(warps, Warp.FLIP, axis=1), 0)


@pytest.mark.parametrize(
    ("image_shape", "down", "right"),
    [((32, 32, 3), 4, 4), ((28, 28, 1), 3, 3), ((8, 8, 1), 1, 1), ((16, 224, 3), 2, 28), ((7, 9, 1), 0, 1)],
)
def test_crop_shifts_by_up_to_an_eighth_of_the_side(image_shape, down, right):
    warps = draw("crop", image_shape)
    assert_uniform(warps[:, Warp.DOWN], range(-down, down + 1))
    assert_uniform(warps[:, Warp.RIGHT], range(-right, right + 1))
    assert_array_equal(np.delete(warps, [Warp.DOWN, Warp.RIGHT], axis=1), 0)


def test_both_shifts_and_the_mirror_are_independent():
    warps = draw(("crop", "flip"))
    together = ((warps[:, Warp.DOWN] + 4) * 9 + warps[:, Warp.RIGHT] + 4) * 2 + warps[:, Warp.FLIP]
    assert_uniform(together, range(162))


@pytest.mark.parametrize("image_shape", [(8, 8, 1), (9, 9, 3), (6, 11, 1), (3, 2, 1), (1, 5, 1)])
def test_cutout_covers_each_pixel_as_often_as_a_square_around_any_pixel_does(image_shape):
    rows, columns, _ = image_shape
    side = min(rows, columns) // 2
    expected = np.zeros((rows, columns))
    for row in range(rows):
        for column in range(columns):
            covered = np.zeros((rows + 2 * side, columns + 2 * side))
            top, left = side + row - side // 2, side + column - side // 2
            covered[top : top + side, left : left + side] = 1 / (rows * columns)
            expected += covered[side : side + rows, side : side + columns]
    warps = draw("cutout", image_shape, n=4000)
    found = np.zeros((rows, columns))
    for top, left, bottom, right in warps[:, CUT]:
        assert 0 <= top <= bottom <= rows
        assert 0 <= left <= right <= columns
        found[top:bottom, left:right] += 1 / len(warps)
    assert_allclose(found, expected, atol=0.04)
    assert_array_equal(np.delete(warps, CUT, axis=1), 0)


def test_cutout_of_32_pixels_is_a_square_of_16():
    warps = draw("cutout")
    high, wide = warps[:, Warp.CUT_BOTTOM] - warps[:, Warp.CUT_TOP], warps[:, Warp.CUT_RIGHT] - warps[:, Warp.CUT_LEFT]
    assert (high.min(), high.max(), wide.min(), wide.max()) == (8, 16, 8, 16)
    assert_allclose(np.mean(high == 16), 17 / 32, atol=0.02)  # centred on one of the rows 8 to 24


@given(choices, shapes, st.integers(0, 2**31 - 2), st.integers(0, 10**6), st.integers(0, 20), st.integers(0, 20))
def test_seed_step_and_place_decide(augment, image_shape, seed, step, n, more):
    assume("rotate" not in augment or min(image_shape[:2]) > 1)
    warps = draw(augment, image_shape, n, seed, step)
    assert warps.shape == (n, len(Warp))
    assert warps.dtype == np.int64
    apart = np.delete(np.arange(len(Warp)), Warp.PARTNER)  # a partner is one of n
    assert_array_equal(draw(augment, image_shape, n + more, seed, step)[:n, apart], warps[:, apart])
    assert_array_equal(draw(augment[::-1], image_shape, n, seed, step), warps)


@pytest.mark.parametrize("kind", ALL)
def test_other_seeds_and_steps_draw_other_numbers(kind):
    draws = [draw(kind, n=64, seed=seed, step=step) for seed in range(3) for step in range(3)]
    for at, one in enumerate(draws):
        for other in draws[:at]:
            assert np.mean((one == other).all(axis=1)) < 0.8


@pytest.mark.parametrize("kind", ALL)
def test_a_kind_draws_the_same_whatever_the_others(kind):
    others = [other for other in ALL if {kind, other} != {"rotate", "scale"}]  # these two are one matrix
    alone, together = draw(kind, n=100), draw(others, n=100)
    used = alone.any(axis=0)
    assert_array_equal(alone[:, used], together[:, used])


def test_draws_are_not_those_of_the_order_of_the_images():
    batches = Batches(np.arange(500), np.ones(500), batch_size=500, shuffle=True, seed=7)
    (order,) = batches.of_epoch(3)
    as_if = np.random.default_rng((7, 3)).permutation(500)
    assert_array_equal(order, as_if)  # so the seed and the epoch's number alone begin that stream
    mirrored = np.random.default_rng((7, 3)).random((500, 5))[:, 0] < 0.5
    assert np.mean(draw("flip", n=500, seed=7, step=3)[:, Warp.FLIP] == mirrored) < 0.7


def matrix(warps):
    """The angles in degrees, and the factors."""
    cosine, sine = 1 + warps[:, Warp.COSINE] / ONE, warps[:, Warp.SINE] / ONE
    return np.degrees(np.arctan2(sine, cosine)), 1 / np.hypot(cosine, sine)


@pytest.mark.parametrize(
    ("augment", "most_degrees", "most_scale"),
    [("rotate", 15, 0), ("rotate(180)", 180, 0), ("scale", 0, 0.2), (("scale(0.5)", "rotate(30)"), 30, 0.5)],
)
def test_rotate_and_scale(augment, most_degrees, most_scale):
    warps = draw(augment)
    degrees, factors = matrix(warps)
    for found, most, middle in ((degrees, most_degrees, 0), (factors, most_scale, 1)):
        expected = middle + most * np.linspace(-1, 1, 9)
        assert_allclose(np.quantile(found, np.linspace(0, 1, 9)), expected, atol=0.02 * most + 1e-4)
    products = (degrees - degrees.mean()) * (factors - factors.mean())
    assert abs(products.mean()) <= 0.02 * most_degrees * most_scale + 1e-4
    assert_array_equal(np.delete(warps, [Warp.COSINE, Warp.SINE], axis=1), 0)


@pytest.mark.parametrize(("kind", "column"), [("brightness", Warp.BRIGHTNESS), ("contrast", Warp.CONTRAST)])
@pytest.mark.parametrize(("spelled", "most"), [("", 0.2), ("(0.5)", 0.5)])
def test_tones(kind, column, spelled, most):
    warps = draw(kind + spelled)
    expected = most * np.linspace(-1, 1, 9)
    assert_allclose(np.quantile(warps[:, column] / ONE, np.linspace(0, 1, 9)), expected, atol=0.02 * most)
    assert_array_equal(np.delete(warps, column, axis=1), 0)


def test_noise_has_a_key_for_each_image():
    warps = draw("noise(0.5)")
    assert_array_equal(warps[:, Warp.NOISE], ONE // 2)
    assert len(np.unique(warps[:, Warp.NOISE_KEY])) > 0.99 * MANY
    assert_array_equal(np.delete(warps, [Warp.NOISE, Warp.NOISE_KEY], axis=1), 0)


@pytest.mark.parametrize(("spelled", "alpha"), [("mixup", 0.2), ("mixup(1)", 1)])
def test_mixup(spelled, alpha):
    warps = draw(spelled)
    partners = np.arange(MANY) + warps[:, Warp.PARTNER]
    assert_array_equal(np.sort(partners), np.arange(MANY))  # each image is mixed in once
    assert abs(np.corrcoef(partners, np.arange(MANY))[0, 1]) < 0.03
    share = warps[:, Warp.SHARE] / ONE
    assert share.min() >= 0
    assert share.max() <= 0.5
    # The variance of a Beta(alpha, alpha), about its mean 1/2.
    assert_allclose(np.mean(np.square(0.5 - share)), 1 / (4 * (2 * alpha + 1)), rtol=0.02)
    assert_array_equal(np.delete(warps, [Warp.PARTNER, Warp.SHARE], axis=1), 0)


def test_images_without_weight_are_not_mixed_in():
    augmentation, weights = make_augmentation("mixup", (8, 8, 1)), np.arange(MANY) % 2
    warps, all_weigh = augmentation.draw(0, 0, MANY, weights), augmentation.draw(0, 0, MANY)
    counts = weights[np.arange(MANY) + warps[:, Warp.PARTNER]] > 0
    assert_array_equal(warps[:, Warp.SHARE], np.where(counts, all_weigh[:, Warp.SHARE], 0))


@pytest.mark.parametrize("image_shape", [(5, 40, 1), (32, 32, 3)])
def test_amounts_of_crop_and_cutout(image_shape):
    warps = draw(("crop(3)", "cutout(2)"), image_shape)
    assert_uniform(warps[:, Warp.DOWN], range(-3, 4))
    assert_uniform(warps[:, Warp.RIGHT], range(-3, 4))
    assert_array_equal(np.max(warps[:, Warp.CUT_BOTTOM] - warps[:, Warp.CUT_TOP]), 2)


@pytest.mark.parametrize("kind", ["crop(4)", "cutout(16)", "rotate(15)", "scale(0.2)", "noise(0.1)", "contrast(.2)"])
def test_the_default_may_be_spelled(kind):
    assert_array_equal(draw(kind, n=50), draw(kind.split("(")[0], n=50))


def test_kinds_have_a_fixed_order_and_spelling():
    kinds = make_augmentation(["rotate(1e1)", "flip", "noise(0.10)", "crop(04)"], (8, 8, 1)).kinds
    assert kinds == ("crop(4)", "flip", "noise", "rotate(10)")
    kinds = make_augmentation(["scale(0.1)", "crop(4)", "cutout(16)"], (32, 39, 3)).kinds
    assert kinds == ("crop", "cutout", "scale(0.1)")
    assert make_augmentation("crop(4)", (32, 40, 3)).kinds == ("crop(4)",)  # the default is 4 and 5


def test_lines_are_shifted_along_themselves_and_not_rotated():
    warps = draw("crop(9)", (1, 64, 1))
    assert_array_equal(warps[:, Warp.DOWN], 0)
    assert_uniform(warps[:, Warp.RIGHT], range(-9, 10))
    assert_uniform(draw("crop(8)", (8, 8, 1))[:, Warp.DOWN], range(-7, 8))
    with pytest.raises(ValueError, match="are a line"):
        make_augmentation("rotate", (64, 1, 1))


@pytest.mark.parametrize(
    ("kind", "allowed"),
    [
        ("flip(1)", "takes no amount"),
        ("crop(0)", "pixels, a whole number from 1 to 32"),
        ("crop(2.5)", "a whole number"),
        ("cutout(33)", "from 1 to 32"),
        ("rotate(181)", "degrees, a number above 0, at most 180"),
        ("rotate()", "degrees"),
        ("rotate(1_0)", "degrees"),
        ("scale(1)", "at most 0.9"),
        ("noise(nan)", "standard deviations"),
        ("brightness(inf)", "at most 10"),
        ("contrast(-1)", "above 0, at most 1"),
        ("contrast(two)", "above 0, at most 1"),
    ],
)
def test_amounts_out_of_range_are_refused(kind, allowed):
    with pytest.raises(ValueError, match=f"augment=.*{allowed}"):
        make_augmentation(kind, (32, 32, 3))


def darken(images, rng):
    images //= 2
    return images


def jitter(images, rng):
    return images + rng.normal(size=images.shape)


def changed(augment, pixels, seed=3, step=5):
    return make_augmentation(augment, pixels.shape[1:]).change(seed, step, pixels.copy())


BYTES = np.random.default_rng(0).integers(0, 256, (4, 5, 3, 2)).astype(np.uint8)


def test_functions_run_in_their_order():
    noise = [np.random.default_rng((3, 5, 5, number)).normal(size=BYTES.shape) for number in range(2)]
    assert_array_equal(changed(darken, BYTES), BYTES // 2)
    assert_array_equal(changed([darken, "flip", jitter], BYTES), (BYTES // 2 + noise[1]).astype(np.float32))
    assert_array_equal(changed([jitter], BYTES), (BYTES + noise[0]).astype(np.float32))
    assert changed(darken, BYTES).dtype == np.float32


def test_a_function_draws_by_seed_and_step_alone():
    same, *others = (changed(jitter, BYTES, *at) for at in ((3, 5), (3, 6), (4, 5)))
    assert_array_equal(same, changed(("crop", jitter), BYTES))
    assert not any(np.array_equal(same, other) for other in others)


class Sharpen:
    def __call__(self, images, rng):
        return images


def test_kinds_name_functions_in_their_order():
    kinds = make_augmentation(["noise", jitter, "crop(4)", darken, Sharpen()], (8, 8, 1)).kinds
    names = [f"{__name__}.{name}" for name in ("jitter", "darken", "Sharpen")]
    assert kinds == (*names, "crop(4)", "noise")
    assert draw([jitter], n=5).shape == (0, len(Warp))
    assert_array_equal(draw([jitter, "flip"], n=50), draw("flip", n=50))


@pytest.mark.parametrize(
    ("result", "complaint"),
    [
        (lambda images: None, "returned None. It must return real numbers of the shape (4, 5, 3, 2)"),
        (lambda images: images[:3], "returned an array of shape (3, 5, 3, 2) and dtype uint8"),
        (lambda images: images[..., 0], "returned an array of shape (4, 5, 3) and"),
        (lambda images: images * 1j, "and dtype complex128"),
        (lambda images: images.astype(str), "and dtype <U3"),
        (
            lambda images: np.where(np.arange(4)[:, None, None, None] == 2, np.nan, images),
            "not finite in float32, in image 2",
        ),
        (lambda images: images * 1e300, "not finite in float32, in image 0"),
    ],
)
def test_what_a_function_must_return(result, complaint):
    def mine(images, rng):
        return result(images)

    with pytest.raises(ValueError, match=re.escape(complaint)) as raised:
        changed(["flip", mine], BYTES)
    assert f"The function {__name__}.test_what_a_function_must_return.<locals>.mine in augment" in str(raised.value)


def test_none():
    warps = draw(None, n=5)
    assert warps.shape == (0, len(Warp))
    assert warps.dtype == np.int64


@pytest.mark.parametrize("augment", ["flip", ["flip"], ("flip",)])
def test_one_or_several(augment):
    assert_array_equal(draw(augment, n=50), draw("flip", n=50))


@pytest.mark.parametrize(
    ("augment", "complaint"),
    [
        ("twist", "has 'twist', which is none of"),
        ("", "has '', which is none of"),
        (["flip", "Crop"], "has 'Crop', which is none of .* did you mean crop"),
        (" rotate(3)", r"has ' rotate\(3\)', which is none of .* did you mean rotate"),
        ("flip, crop(2)", r"Several are a list: \['flip', 'crop\(2\)'\]"),
        ("crop(4", r"has 'crop\(4', which is none of .* did you mean crop\?"),
        ("random crop", "has 'random crop', which is none of .* function: did you mean crop"),
        ("horizontal flip", "has 'horizontal flip', which is none of .* function: did you mean flip"),
        ("flip, twist", "has 'flip, twist', which is none of .* function: did you mean flip"),
        ("flip(", "has 'flip\\(', which is none of"),
        (("rotate", "rotate(3)"), "has 'rotate' twice"),
        (["flip", 3], "has 3, which is none of"),
        ([["flip"]], r"has \['flip'\], which is none of"),
        ([None], "has None, which is none of"),
        ([], "is empty"),
        ((), "is empty"),
        (("crop", "flip", "crop"), "has 'crop' twice"),
        (3, "is no augmentation"),
        (True, "is no augmentation"),
        ({"flip": 0.5}, "is no augmentation"),
        (np.array(["flip"]), "is no augmentation"),
    ],
)
def test_what_there_is_not(augment, complaint):
    with pytest.raises(ValueError, match=rf"augment=.*{complaint}") as raised:
        make_augmentation(augment, (32, 32, 3))
    assert all(repr(kind) in str(raised.value) for kind in AUGMENTATIONS)
