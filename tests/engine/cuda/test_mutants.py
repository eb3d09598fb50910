"""What the tests of kernels are worth: kernels and lowerings with one thing wrong in them, each of which is noticed."""

import pytest

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

from tests.engine.cuda.mutants import judge, mutants, planted, unchanged

# Module, function, what is in its place, and the test that notices.
BARRIERS = [
    ("activations", "bias_relu_backward", "cuda.syncthreads()\n        while", "while", "test_bias_relu_backward"),
    ("activations", "bias_relu_backward", "cuda.syncthreads()\n            lanes", "lanes", "test_bias_relu_backward"),
    ("sums", "sum_slices", "cuda.syncthreads()\n        if", "if", "test_channel_moments"),
    ("normalisation", "batch_gradients", "cuda.syncthreads()", "pass", "test_batch_gradients"),
    ("normalisation", "_lrn_backward", "cuda.syncthreads()", "pass", "test_lrn_backward"),
    ("loss", "_sum", "cuda.syncthreads()\n        if", "if", "test_loss_and_gradient"),
    ("optimizer", "transpose", "cuda.syncthreads()\n        k =", "k =", "test_the_transposed_copy"),
]
GUARDS = [
    ("activations", "relu", "if at < rows * line:", "if True:", "test_relu"),
    ("activations", "bias_relu_backward", "lane < lanes and q < depth:", "lane < lanes:", "test_bias_relu_backward"),
    ("activations", "activate", "first_of(value, channels - left(along, depth))", "value", "test_activate_leaves"),
    ("activations", "activate_backward", "if at < rows * line:", "if True:", "test_activate_backward"),
    ("memory", "clear", "if at < size:", "if True:", "test_clear"),
    ("normalisation", "channel_moments", "slice_of_thread == 0 and at < depth", "slice_of_thread == 0", "test_channel"),
    ("loss", "store_scores", "if at < size:", "if True:", "test_a_map_of_scores"),
    ("optimizer", "transpose", "if top + row < rows and start", "if start", "test_the_transposed_copy"),
]
HALOS = [
    ("pooling", "_begin", "max(index * S - P, 0)", "index * S - P", "test_average_pool"),
    ("pooling", "_end", "min(index * S - P + F, extent)", "index * S - P + F", "test_average_pool"),
    ("pooling", "_last_window", "over(at + P, S) + 1", "over(at + P, S)", "test_the_gradient_of_average_pool"),
    ("pooling", "max_pool_backward", "P_columns), last if", "P_columns), column if", "test_max_pool_and_its_gradient"),
    ("pooling", "_count", "extent + counted", "extent", "test_average_pool"),
    ("normalisation", "_lrn_backward", "((before + 3) >> 2)", "(before >> 2)", "test_lrn_backward"),
    ("normalisation", "_square_at", "c >= 0 and c < depth", "c >= 0", "test_lrn"),
    ("images", "_resampled", "r >= 0 and ", "", "test_each_image_has_its_warp"),
]
PARTS = [  # of sums and copies, and the paths that they take
    (
        "activations",
        "lower_bias_relu_backward",
        "parts, grid[0], call",
        "parts, grid[0] - 1, call",
        "test_bias_relu_backward",
    ),
    (
        "activations",
        "_over_pixels",
        "chunks(pixels, span), chunks",
        "pixels // span, chunks",
        "test_bias_relu_backward",
    ),
    (
        "activations",
        "prelu_slopes",
        "int32(min((block() + 1) * span,",
        "int32(min(block() * span,",
        "test_the_gradient",
    ),
    ("branches", "multiply_sums", "_row + along))\n        total", "_row + at))\n        total", "test_multiply_sums"),
    ("convolution", "finish_contract", "number < end", "number < end - 1", "test_parts_of_the_reduction"),
    ("normalisation", "_pixel_sums", "n_parts=parts", "n_parts=parts - 1", "test_channel_moments"),
    ("normalisation", "combine_moments", "last if p == n_parts - 1", "last if p == n_parts", "test_channel_moments"),
    ("optimizer", "lower_update", "_PIECE * chunks(most, _PIECE * rows)", "_PIECE", "test_blocks_of_any_length"),
    ("branches", "lower_copy_channels", "if _are_quads(call):", "if True:", "test_copy_channels_from"),
]
STEPS = [  # the row of the tables, and losses
    ("images", "load_images", "load_int(step) * batch", "batch", "test_the_images_of_a_minibatch"),
    ("activations", "dropout", "draws + 16 * load_int(step)", "draws", "test_dropout_drops"),
    ("loss", "softmax_cross_entropy", "load_int(step) * batch", "batch", "test_loss_and_gradient"),
    ("loss", "sigmoid_cross_entropy", "0.5 * smoothing", "smoothing", "test_losses_of_outputs"),
    ("loss", "regression_loss", "weight * (slope", "weight * (size", "test_losses_of_outputs"),
    ("loss", "_mixed_in", "place + load_int", "load_int", "test_mixed_classes"),
]


@pytest.mark.parametrize(("module", "function", "old", "new", "test"), [*BARRIERS, *GUARDS, *HALOS, *PARTS, *STEPS])
def test_a_planted_fault_is_noticed(module, function, old, new, test):
    verdict, by = judge(planted(module, function, old, new), only=test)
    assert verdict == "noticed"
    assert by.startswith(test)


@pytest.mark.parametrize("module", ["memory", "branches"])
def test_an_unchanged_module_passes(module):
    assert judge(unchanged(module), only="test_") == ("survived", "")


def test_a_change_without_effect_is_told_from_one_that_survives():
    same = planted("optimizer", "transpose", "(_SIDE - 1), _SIDE), left", "(_SIDE + -1), _SIDE), left")
    assert judge(same, only="test_the_transposed_copy") == ("the same", "")
    wasteful = planted("memory", "lower_clear", 'call["size"])', 'call["size"] + 1)')
    assert judge(wasteful, only="test_clear")[0] == "survived"


def test_the_mutants_of_a_module():
    """Each says what it is, and has a source of its own."""
    made = mutants("memory")
    says = [mutant.says for mutant in made]
    assert says[0] == (
        "memory.clear: _THREADS * chunk() + thread() -> _THREADS * chunk() - thread() in: "
        "at = _THREADS * chunk() + thread()"
    )
    assert "memory.clear: if at < size: -> if True: in: if at < size:" in says
    assert len({mutant.source for mutant in made} | {unchanged("memory").source}) == len(made) + 1


def test_a_block_along_y_stands_for_one_along_x_where_a_kernel_reads_both():
    says = [mutant.says for mutant in mutants("normalisation", "channel_moments")]
    assert any(": block_y -> block in" in one for one in says)
    assert any(": block -> block_y in" in one for one in says)
    says = [mutant.says for mutant in mutants("memory", "clear")]
    assert any(": block -> chunk in" in one for one in says)
