"""The table of a network's volumes, memory, parameters and multiply-adds."""

from dataclasses import dataclass

from skconvnet.architecture.layers import BoundBranches, Volume

_BYTES = 4  # of a float32


@dataclass(frozen=True)
class VolumeTable:
    """What a network's layers make and cost, as the CS231n notes count it, for one image; prints as a table.

    Parameters
    ----------
    records : list of dict
        One per layer with plain values, for ``pandas.DataFrame(records)``. A sum's or stack's own record comes after
        those of its branches, whose ``level`` is one higher, and counts only what is beyond them.
    n_params : int
        Weights and biases.
    n_flops : int
        Multiply-adds forward.
    n_bytes : int
        Four bytes for every parameter and for every activation kept in one forward pass, the input's included. A layer
        that works in place (RELU and its like) keeps none.

    Examples
    --------
    >>> from skconvnet.architecture import Architecture
    >>> text = "INPUT -> CONV(K=12, F=5, P=2) -> RELU -> POOL -> FC"
    >>> print(Architecture.parse(text).summary(image_shape=(32, 32, 3), n_classes=10))
    layer   volume      activations   memory                     parameters  multiply-adds
    --------------------------------------------------------------------------------------
    INPUT   [32x32x3]         3,072  12.3 kB
    CONV 1  [32x32x12]       12,288  49.2 kB     5*5*3*12 + 12 =        912        921,600
    RELU 1  [32x32x12]     in place
    POOL 1  [16x16x12]        3,072  12.3 kB
    FC 1    [1x1x10]             10     40 B  16*16*12*10 + 10 =     30,730         30,720
    --------------------------------------------------------------------------------------
    total                    18,442  73.8 kB                         31,642        952,320
    memory of the parameters and of one image's activations: 200.3 kB, as float32
    """

    records: list
    n_params: int
    n_flops: int
    n_bytes: int

    @classmethod
    def of(cls, image, layers):
        """Count a bound network.

        Parameters
        ----------
        image : Volume
            Its input.
        layers : tuple of BoundLayer

        Returns
        -------
        VolumeTable
        """
        records = [_record("INPUT", "INPUT", 0, image, image.size), *_layer_records(layers, level=0)]
        n_params = sum(record["n_params"] for record in records)
        n_activations = sum(record["n_activations"] for record in records)
        n_flops = sum(record["n_flops"] for record in records)
        return cls(records, n_params, n_flops, _BYTES * (n_params + n_activations))

    def __str__(self):
        rows = [_HEADER, *map(_row, self.records)]
        n_activations = sum(record["n_activations"] for record in self.records)
        total = ("total", "", f"{n_activations:,}", _bytes(_BYTES * n_activations), "", f"{self.n_params:,}")
        rows.append((*total, f"{self.n_flops:,}"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [_line(row, widths) for row in rows]
        rule = "-" * max(map(len, lines))
        note = f"memory of the parameters and of one image's activations: {_bytes(self.n_bytes)}, as float32"
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], note])


_HEADER = ("layer", "volume", "activations", "memory", "", "parameters", "multiply-adds")


def _layer_records(layers, level):
    for layer in layers:
        if isinstance(layer, BoundBranches):
            for branch in layer.branches:
                yield from _layer_records(branch, level + 1)
            yield _record(layer.name, layer.kind, level, layer.output, layer.n_activations)
        else:
            counts = (layer.arithmetic, layer.n_weights, layer.n_biases, layer.n_flops)
            yield _record(layer.name, layer.keyword, level, layer.output, layer.n_activations, *counts)


def _record(name, notation, level, volume, n_activations, arithmetic="", n_weights=0, n_biases=0, n_flops=0):
    return {
        "layer": name,
        "notation": notation,
        "level": level,
        "height": volume.height,
        "width": volume.width,
        "depth": volume.depth,
        "n_activations": n_activations,
        "n_bytes": _BYTES * n_activations,
        "parameters": arithmetic,
        "n_weights": n_weights,
        "n_biases": n_biases,
        "n_params": n_weights + n_biases,
        "n_flops": n_flops,
    }


def _row(record):
    """Return the cells of one line; what a layer has none of is left blank."""
    n_activations, n_params, n_flops = record["n_activations"], record["n_params"], record["n_flops"]
    return (
        "  " * record["level"] + record["layer"],
        str(Volume(record["height"], record["width"], record["depth"])),
        f"{n_activations:,}" if n_activations else "in place",
        _bytes(record["n_bytes"]) if n_activations else "",
        f"{record['parameters']} =" if n_params else "",
        f"{n_params:,}" if n_params else "",
        f"{n_flops:,}" if n_flops else "",
    )


def _line(row, widths):
    """Set one line: names and volumes to the left, numbers to the right."""
    left = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
    right = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
    # The arithmetic and its result read as one.
    arithmetic, result = right.pop(2), right.pop(2)
    right.insert(2, f"{arithmetic} {result}")
    return "  ".join([*left, *right]).rstrip()


def _bytes(n):
    """Return a number of bytes as people say it."""
    if n < 1000:
        return f"{n} B"
    power = min((len(str(n)) - 1) // 3, 4)
    return f"{n / 1000**power:,.1f} {('kB', 'MB', 'GB', 'TB')[power - 1]}"
