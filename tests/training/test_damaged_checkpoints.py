"""Damaged files, and files that are not checkpoints, are refused and not changed."""

import io
import json
import tracemalloc
import zipfile

import numpy as np
import pytest

from skconvnet.engine import Trainer
from skconvnet.training import checkpoint as _checkpoint
from tests.training.checkpoints import (
    DAMAGED,
    PARTS,
    digits,
    files_in,
    quick,
    refused,
    result,
    rewritten,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_a_file_cut_short_anywhere_is_refused_and_stays(path):
    quick(max_iter=1, checkpoint=path).fit(*digits())
    whole = path.read_bytes()
    for size in [0, 1, 3, 4, 100, *range(200, len(whole), len(whole) // 40), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with refused(f"checkpoint={str(path)!r} {DAMAGED}") as caught:
            quick(max_iter=1, checkpoint=path).fit(*digits())
        assert str(caught.value).endswith(DAMAGED)  # without a hint of the reader
        assert isinstance(caught.value.__cause__, Exception)
        assert path.read_bytes() == whole[:size]


def test_a_bit_that_fell_over_is_noticed_or_means_nothing(path):
    quick(max_iter=1, checkpoint=path).fit(*digits())
    whole = bytearray(path.read_bytes())
    expected = _checkpoint.read_checkpoint(path)
    rng, noticed = np.random.default_rng(0), 0
    for place in rng.integers(len(whole), size=400):
        damaged = whole.copy()
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            found = _checkpoint.read_checkpoint(path)
        except ValueError:
            noticed += 1
            continue
        assert (found.fit, found.loss_curve, found.seed) == (expected.fit, expected.loss_curve, expected.seed)
        for name in ("parameters", "moments", "best"):
            assert np.array_equal(getattr(found, name), getattr(expected, name))
    assert noticed > 360  # the rest are dates and the like


def bytes_of(save, *arrays, **named_arrays):
    """What a function of NumPy writes to a file."""
    file = io.BytesIO()
    save(file, *arrays, **named_arrays)
    return file.getvalue()


def zip_of(name, content, compression=zipfile.ZIP_STORED):
    """The bytes of an archive with one file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def claiming(shape, descr="|u1"):
    """The bytes of an array whose head claims this shape, and that has next to nothing."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + b"{}"


HUGE_HEAD = b"\x93NUMPY\x01\x00\xff\xff" + b"{" * 0xFFFF
OTHER_FILES = {
    "nothing": b"",
    "a text": b"something else",
    "an array": bytes_of(np.save, np.zeros(3)),
    "other arrays": bytes_of(np.savez, X=np.zeros(3)),
    "a pickle": bytes_of(np.savez, header=np.array([{"a": 1}], object), allow_pickle=True),
    "no arrays": bytes_of(np.savez, header=np.frombuffer(b"{}", np.uint8)),
    "an archive of something else": zip_of("letter.txt", "Dear"),
    "an empty archive": zip_of("header.npy", "")[-22:],
    "JSON of something else": bytes_of(np.savez, header=np.frombuffer(b"[1]", np.uint8)),
    "deep JSON": bytes_of(np.savez, header=np.frombuffer(b"[" * 10**5, np.uint8)),
    "an array that claims a terabyte": claiming((10**12,)),
    "an archive that claims a terabyte": zip_of("header.npy", claiming((10**12,))),
    "an archive that claims more than there are bytes": zip_of("header.npy", claiming((10**30,))),
    "an archive with a negative shape": zip_of("header.npy", claiming((-1,))),
    "an array with a huge head": HUGE_HEAD,
    "an archive with a huge head": zip_of("header.npy", HUGE_HEAD),
}


@pytest.mark.parametrize("other", OTHER_FILES.values(), ids=OTHER_FILES)
def test_another_file_is_refused_and_stays(path, other):
    path.write_bytes(other)
    with refused(f"checkpoint={str(path)!r} {DAMAGED}"):
        quick(checkpoint=path).fit(*digits())
    assert files_in(path.parent) == {path.name: other}


@pytest.mark.parametrize(
    "other",
    [
        claiming((2**30,)),
        zip_of("header.npy", claiming((2**30,))),
        zip_of("header.npy", claiming((2**30,)) + bytes(2**26), zipfile.ZIP_DEFLATED),
    ],
    ids=["array", "archive", "compressed"],
)
def test_no_more_memory_is_asked_for_than_the_file_has(path, other):
    path.write_bytes(other)
    tracemalloc.start()
    with refused(DAMAGED):
        _checkpoint.read_checkpoint(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**23


NONSENSE = {
    "seed": ["1", -1, 1.0, True, None, 2**40, 2**63, 10**30],
    "fit": [[], None],
    "n_steps": [0.5, "52", -3, 10**12, None],
    "n_images": [0, 801, "800", -800, 800.0],
    "n_plateaus": [10**12, -1, 5, "0", None],
    "plateau_count": [-1, 5, None, 10**12, 0.0],
    "loss_curve": [
        [],
        [0.5] * 3,
        [0.5] * 5,
        [0.5, 0.4, float("nan"), 0.2],
        [0.5, 0.4, None, 0.2],
        "0.5",
        None,
        [1] * 4,
    ],
    "accuracy_curve": [[], [0.5] * 5, [float("inf")] * 4, {}, [True] * 4, [1.5] * 4],
    "validation_scores": [[0.5] * 4, [0.5], None],
    "learning_rates": [[0.1] * 5, [-0.1] * 4, [float("nan")] * 4, [1] * 4, "0.1", None],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in NONSENSE.items() for value in values])
def test_numbers_that_no_fit_has_are_refused_before_work_begins(path, name, value, monkeypatch):
    estimator = quick(checkpoint=path, random_state=None, learning_rate="adaptive").fit(*digits())
    before = result(estimator)
    rewritten(path, **{name: value})
    content = path.read_bytes()
    monkeypatch.setattr(Trainer, "steps", None)
    with refused(f"checkpoint={str(path)!r} {DAMAGED}"):
        estimator.fit(*digits())
    assert result(estimator) == before
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 2**32),
        ("seed", 2**63),
        ("seed", 10**30),
        ("validation_scores", [2.0, 0.5]),
    ],
)
def test_numbers_that_early_stopping_does_not_have_are_refused(path, name, value):
    parameters = {"random_state": None, "early_stopping": True, "max_iter": 2}
    quick(checkpoint=path, **parameters).fit(*digits())
    rewritten(path, **{name: value})
    with refused(f"checkpoint={str(path)!r} {DAMAGED}"):
        quick(checkpoint=path, **parameters).fit(*digits())


@pytest.mark.parametrize("name", ["parameters", "moments", "best"])
@pytest.mark.parametrize("change", ["nan", "negative", "dtype", "flat", "short", "nothing"])
def test_arrays_that_no_fit_has_are_refused_before_work_begins(path, name, change, monkeypatch):
    parameters = {"early_stopping": True, "max_iter": 2}
    quick(checkpoint=path, **parameters).fit(*digits())
    with np.load(path) as file:
        array = file[name]
    if change in ("nan", "negative"):
        array.flat[-1] = np.nan if change == "nan" else -1
    else:
        changes = {"dtype": array.astype(float), "flat": array.reshape(1, 1, -1), "short": array[..., :-1]}
        array = changes.get(change, np.zeros(0, np.float32))
    rewritten(path, {name: array})
    monkeypatch.setattr(Trainer, "steps", None)
    if change == "negative" and name != "moments":  # as any weight may be
        quick(checkpoint=path, **parameters).fit(*digits())
        return
    with refused(f"checkpoint={str(path)!r} {DAMAGED}"):
        quick(checkpoint=path, **parameters).fit(*digits())


def test_an_entry_that_is_missing_is_refused(path):
    quick(checkpoint=path).fit(*digits())
    rewritten(path, without="n_plateaus")
    with refused(f"checkpoint={str(path)!r} {DAMAGED}"):
        quick(checkpoint=path).fit(*digits())


def test_a_file_does_not_depend_on_the_names_of_classes_or_the_layout_of_memory(path):
    """It has names of parameters, numbers and digests, and all learned numbers without padding."""
    fitted = quick(checkpoint=path).fit(*digits())
    with np.load(path) as file:
        header, parameters = json.loads(file["header"].tobytes()), file["parameters"]
    assert header["fit"]["architecture"] == str(fitted.architecture_)
    assert set(header["fit"]) <= {
        *fitted.get_params(),
        "image_shape",
        _checkpoint.SEEDS,
        *PARTS.values(),
        "the classes",
        "the weights or labels of the pretrained network",
    }
    learned = [*fitted.coefs_, *fitted.intercepts_, *fitted.norm_means_, *fitted.norm_variances_]
    assert np.array_equal(parameters, np.concatenate([array.ravel() for array in learned]))


def test_parameters_of_another_size_are_refused(path):
    estimator = quick(checkpoint=path).fit(*digits())
    before = result(estimator)
    rewritten(path, {"parameters": np.zeros(1, "f4"), "moments": np.zeros((2, 1), "f4")})
    with refused(f"checkpoint={str(path)!r} {DAMAGED}"):
        estimator.fit(*digits())
    assert result(estimator) == before


def test_a_checkpoint_of_another_format_is_refused(path):
    quick(checkpoint=path).fit(*digits())
    rewritten(path, format="skconvnet checkpoint 99")
    with refused("has the format 'skconvnet checkpoint 99', and this version of skconvnet reads", "It was left"):
        quick(checkpoint=path).fit(*digits())
