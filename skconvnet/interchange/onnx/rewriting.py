"""Chains as they were read become chains of the notation's layers.

A network that was exported has some layers in several nodes: the bias of a MatMul in an Add, the scales of a
normalisation in a Mul, GELU in five. Each rule below takes the end of a chain that has just been extended, and returns
what takes its place, or None.
"""

import numpy as np

from skconvnet.interchange.onnx.branches import Fork, Part

__all__ = ["complete", "rewrite", "take_pixel_statistics"]

_EPS = 1e-5  # of a normalisation that only scales and shifts


def rewrite(chain):
    """Return a chain in which parts of layers are joined, and branches of branches too.

    Parameters
    ----------
    chain : list of Part and Fork
        It may be changed.

    Returns
    -------
    list of Part and Fork
        AFFINE is only left where nothing before it can take it; see `take_pixel_statistics` and `complete`.
    """
    return _rewritten(_rewritten(chain, _PATTERNS), _FOLDINGS)


def _rewritten(chain, rules):
    done = []
    for item in chain:
        if isinstance(item, Fork):
            item.branches = _flat(item.operator, [_rewritten(branch, rules) for branch in item.branches])
        done.append(item)
        while any(_apply(rule, done) for rule in rules):
            pass
    return done


def take_pixel_statistics(chain):
    """Take the standardisation of pixels from the beginning of a chain.

    Parameters
    ----------
    chain : list of Part and Fork
        A network after `rewrite`. Its first part is removed if it is a standardisation.

    Returns
    -------
    mean, scale : ndarray of float32, shape (channels,), or None
        None if the network begins with something else.
    """
    if not (chain and _is(chain[0], "AFFINE")):
        return None, None
    return tuple(array.astype(np.float32) for array in chain.pop(0).learned)


def complete(chain):
    """Replace each AFFINE that is left by a NORM(batch) which only scales and shifts, and name empty branches SKIP.

    Parameters
    ----------
    chain : list of Part and Fork
        Changed in place.

    Raises
    ------
    ValueError
        If a part is left that is no layer. The error names its node.
    """
    for item in chain:
        if isinstance(item, Fork):
            for branch in item.branches:
                complete(branch)
                if not branch:
                    branch.append(Part("SKIP", {}, (), item.step))
        elif item.kind == "AFFINE":
            mean, scale = item.learned
            ones, zeros = np.ones(len(mean)), np.zeros(len(mean))
            learned = scale, -mean * scale, zeros, ones - _EPS
            item.kind, item.options = "NORM", {"mode": "batch", "eps": _EPS}
            item.learned = tuple(array.astype(np.float32) for array in learned)
        elif item.kind == "ERF":
            raise item.step.node.refused("the notation has erf only as part of GELU")


def _flat(operator, branches):
    """Return branches in which sums of sums and stacks of stacks are one, where the order of addition stays."""
    flat = []
    for branch in branches:
        is_nested = len(branch) == 1 and isinstance(branch[0], Fork) and branch[0].operator == operator
        if is_nested and (operator == "|" or (operator == "+" and not flat)):
            flat += branch[0].branches
        else:
            flat.append(branch)
    return flat


def _apply(rule, chain):
    """Apply a rule at the end of a chain; return whether it applied."""
    found = rule(chain)
    if found is None:
        return False
    length, replacement = found
    chain[-length:] = replacement
    return True


def _is(item, kind):
    return isinstance(item, Part) and item.kind == kind


def _affine_is(item, mean, scale):
    """Return whether an item computes (x - mean) * scale, up to the rounding of float32."""
    return _is(item, "AFFINE") and all(
        np.allclose(array, value, rtol=1e-6, atol=0) for array, value in zip(item.learned, (mean, scale), strict=True)
    )


def _join_affines(chain):
    if len(chain) < 2 or not (_is(chain[-1], "AFFINE") and _is(chain[-2], "AFFINE")):
        return None
    (mean, scale), (next_mean, next_scale) = chain[-2].learned, chain[-1].learned
    return 2, [Part("AFFINE", {}, (mean + next_mean / scale, scale * next_scale), chain[-2].step)]


def _fold_into_weights(chain):
    """Fold an AFFINE into the CONV, FC or NORM before it."""
    if len(chain) < 2 or not _is(chain[-1], "AFFINE") or not isinstance(chain[-2], Part):
        return None
    part, (mean, scale) = chain[-2], chain[-1].learned
    if part.kind not in ("CONV", "FC", "NORM") or part.options.get("mode") == "lrn":
        return None
    coef, intercept, *statistics = part.learned
    options, shift = part.options, -mean * scale
    if part.kind == "CONV" and options["bias"] == "no" and mean.any():
        options, intercept = options | {"bias": "yes"}, np.zeros(len(mean))
    intercept = intercept * scale + shift if len(intercept) else intercept
    learned = ((coef * scale).astype(np.float32), intercept.astype(np.float32), *statistics)
    return 2, [Part(part.kind, options, learned, part.step)]


def _hard_sigmoid(chain):
    """HSIGMOID is RELU6(x + 3) / 6."""
    return (3, [Part("HSIGMOID", {}, (), chain[-1].step)]) if _ends_in_hard_sigmoid(chain) else None


def _ends_in_hard_sigmoid(chain):
    before, relu6, after = chain[-3:] if len(chain) >= 3 else (None, None, None)
    return _affine_is(before, -3, 1) and _is(relu6, "RELU6") and _affine_is(after, 0, 1 / 6)


def _hard_swish(chain):
    """HSWISH is x * HSIGMOID(x), or x * RELU6(x + 3) / 6."""
    for length in (1, 2):
        items = chain[-length:]
        if len(items) == length and _is_gate(items[0]):
            plain, gate = sorted(items[0].branches, key=len)
            gate = [*gate, *items[1:]]
            is_hard = (len(gate) == 1 and _is(gate[0], "HSIGMOID")) or (len(gate) == 3 and _ends_in_hard_sigmoid(gate))
            if is_hard and not plain:
                return length, [Part("HSWISH", {}, (), items[0].step)]
    return None


def _gelu(chain):
    """GELU is x * (1 + erf(x / sqrt(2))) * 0.5, where the half may be the factor of any part."""
    for length, half in ((1, 1.0), (2, 0.5)):
        items = chain[-length:]
        if len(items) == length and all(_affine_is(item, 0, half) for item in items[1:]):
            if _is_gate(items[0]) and _factor_of_gelu(*items[0].branches) * half == 0.5:
                return length, [Part("GELU", {}, (), items[0].step)]
    return None


def _factor_of_gelu(plain, curved):
    """Return the factor f of f * x * (1 + erf(x / sqrt(2))); 0 if the branches compute something else."""
    plain, curved = sorted((plain, curved), key=len)
    is_erf = len(curved) == 3 and _affine_is(curved[0], 0, 0.5**0.5) and _is(curved[1], "ERF")
    if not is_erf or len(plain) > 1:
        return 0.0
    factors = [factor for factor in (0.5, 1.0) if _affine_is(curved[2], -1, factor)]
    if plain:
        factors += [0.5] if _affine_is(plain[0], 0, 0.5) else [0.0]
    return float(np.prod(factors)) if factors else 0.0


def _is_gate(item):
    """Return whether an item is the product of two branches."""
    return isinstance(item, Fork) and item.operator == "*" and len(item.branches) == 2


_PATTERNS = (_hard_sigmoid, _hard_swish, _gelu)
_FOLDINGS = (_join_affines, _fold_into_weights)
