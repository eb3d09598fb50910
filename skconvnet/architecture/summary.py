"""The table of the volumes, memory, parameters and multiply-adds of a network."""

from dataclasses import dataclass
from html import escape

from skconvnet.architecture.errors import ArchitectureError, shown
from skconvnet.architecture.hyperparameters import whole_number
from skconvnet.architecture.layers.arithmetic import Volume
from skconvnet.architecture.layers.branches import BoundBranches

BYTES = 4  # of a float32
BATCH_SIZE = 32  # in the line about training
OPTIMIZER_STATE = {"sgd": 0, "momentum": 1, "adam": 2}  # numbers per parameter


@dataclass(frozen=True)
class VolumeTable:
    """The volumes and costs of the layers for one image, counted as the CS231n notes do. It prints as a table.

    The memory is that of the network itself. An engine may need other buffers. The running means and variances of
    NORM(batch) are not counted as parameters.

    Parameters
    ----------
    records : list of dict
        One per layer with plain values, for ``pandas.DataFrame(records)``. The record of a sum, stack or gate comes
        after those of its branches, whose `level` is one higher, and does not include their costs.
    n_params : int
        Weights and biases.
    n_flops : int
        Multiply-adds of the forward pass.
    n_bytes : int
        Four bytes per parameter and per stored activation of a forward pass, including the input. Layers that work in
        place, such as RELU, store no activations.

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
    <BLANKLINE>
    memory, as float32 of 4 bytes
    activations of an image  73.8 kB forward, 147.5 kB forward and backward
    parameters               126.6 kB, and as much for their gradients
    state of the optimizer   none for plain SGD, 126.6 kB with momentum, 253.1 kB with Adam
    predicting one image     126.6 kB + 73.8 kB = 200.3 kB
    training on 32 images    4 * 126.6 kB with Adam + 32 * 147.5 kB = 5.2 MB
    """

    records: list
    n_params: int
    n_flops: int
    n_bytes: int

    @classmethod
    def of(cls, image, layers):
        """Return the table of a bound network.

        Parameters
        ----------
        image : Volume
            The input.
        layers : tuple of BoundLayer

        Returns
        -------
        VolumeTable
        """
        records = [_record("INPUT", "INPUT", 0, image, image.size), *_layer_records(layers, level=0)]
        n_params = sum(record["n_params"] for record in records)
        n_activations = sum(record["n_activations"] for record in records)
        n_flops = sum(record["n_flops"] for record in records)
        return cls(records, n_params, n_flops, BYTES * (n_params + n_activations))

    @property
    def n_activations(self):
        """The number of activations that a forward pass of one image stores, including the input."""
        return sum(record["n_activations"] for record in self.records)

    def training_bytes(self, batch_size=BATCH_SIZE, optimizer="adam"):
        """Return the memory of training on a minibatch if all activations are stored for the backward pass.

        Parameters
        ----------
        batch_size : int, default=32
        optimizer : {"sgd", "momentum", "adam"}, default="adam"
            Per parameter, "sgd" stores nothing, "momentum" a velocity and "adam" two moments.

        Returns
        -------
        dict
            Bytes of "activations", "activation_gradients", "parameters", "gradients" and "optimizer_state", and their
            "total".

        Raises
        ------
        ArchitectureError
            If the batch size or the optimizer is not one of these.

        Examples
        --------
        >>> from skconvnet.architecture import ARCHITECTURES
        >>> table = ARCHITECTURES["vgg16"].summary(image_shape=(224, 224, 3), n_classes=1000)
        >>> table.training_bytes(batch_size=1, optimizer="momentum")["parameters"]
        553430176
        """
        batch_size = whole_number("batch_size", batch_size, 1)
        if not isinstance(optimizer, str) or optimizer not in OPTIMIZER_STATE:
            choices = ", ".join(map(repr, OPTIMIZER_STATE))
            raise ArchitectureError(f"optimizer must be one of {choices}, got {shown(optimizer)}")
        activations, parameters = BYTES * batch_size * self.n_activations, BYTES * self.n_params
        parts = {
            "activations": activations,
            "activation_gradients": activations,
            "parameters": parameters,
            "gradients": parameters,
            "optimizer_state": OPTIMIZER_STATE[optimizer] * parameters,
        }
        return parts | {"total": sum(parts.values())}

    def __str__(self):
        rows = [HEADER, *map(_row, self.records), self._total()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [_line(row, widths) for row in rows]
        rule = "-" * max(map(len, lines))
        notes = self._notes()
        width = max(len(what) for what, _ in notes)
        table = [lines[0], rule, *lines[1:-1], rule, lines[-1]]
        return "\n".join([*table, "", NOTES_HEADER, *(f"{what.ljust(width)}  {text}" for what, text in notes)])

    def _repr_html_(self):
        """Show the table in a notebook."""
        head = _html_row("th", HEADER)
        body = [_html_row("td", _row(record), record["level"], record["notation"]) for record in self.records]
        notes = "".join(f"<li>{escape(what)}: {escape(text)}</li>" for what, text in self._notes())
        return (
            f"<table><thead>{head}</thead><tbody>{''.join(body)}</tbody>"
            f"<tfoot>{_html_row('th', self._total())}</tfoot></table>"
            f"<p>{escape(NOTES_HEADER)}</p><ul>{notes}</ul>"
        )

    def _total(self):
        n = self.n_activations
        return "total", "", f"{n:,}", spell_bytes(BYTES * n), "", f"{self.n_params:,}", f"{self.n_flops:,}"

    def _notes(self):
        """Return the lines about memory as (name, text)."""
        image, parameters = spell_bytes(BYTES * self.n_activations), spell_bytes(BYTES * self.n_params)
        both_ways = spell_bytes(2 * BYTES * self.n_activations)
        moments = spell_bytes(OPTIMIZER_STATE["adam"] * BYTES * self.n_params)
        training = spell_bytes(self.training_bytes()["total"])
        return [
            ("activations of an image", f"{image} forward, {both_ways} forward and backward"),
            ("parameters", f"{parameters}, and as much for their gradients"),
            ("state of the optimizer", f"none for plain SGD, {parameters} with momentum, {moments} with Adam"),
            ("predicting one image", f"{parameters} + {image} = {spell_bytes(self.n_bytes)}"),
            (
                f"training on {BATCH_SIZE} images",
                f"{2 + OPTIMIZER_STATE['adam']} * {parameters} with Adam + {BATCH_SIZE} * {both_ways} = {training}",
            ),
        ]


HEADER = ("layer", "volume", "activations", "memory", "", "parameters", "multiply-adds")
NOTES_HEADER = f"memory, as float32 of {BYTES} bytes"


def _layer_records(layers, level):
    for layer in layers:
        if isinstance(layer, BoundBranches):
            for branch in layer.branches:
                yield from _layer_records(branch, level + 1)
            yield _record(layer.name, layer.kind, level, layer.output, layer.n_activations)
        else:
            counts = (layer.arithmetic, layer.n_weights, layer.n_biases, layer.n_flops)
            yield _record(layer.name, str(layer), level, layer.output, layer.n_activations, *counts)


def _record(name, notation, level, volume, n_activations, arithmetic="", n_weights=0, n_biases=0, n_flops=0):
    return {
        "layer": name,
        "notation": notation,
        "level": level,
        "height": volume.height,
        "width": volume.width,
        "depth": volume.depth,
        "n_activations": n_activations,
        "n_bytes": BYTES * n_activations,
        "parameters": arithmetic,
        "n_weights": n_weights,
        "n_biases": n_biases,
        "n_params": n_weights + n_biases,
        "n_flops": n_flops,
    }


def _row(record):
    """Return the cells of one line. Zeros are left blank."""
    n_activations, n_params, n_flops = record["n_activations"], record["n_params"], record["n_flops"]
    return (
        "  " * record["level"] + record["layer"],
        str(Volume(record["height"], record["width"], record["depth"])),
        f"{n_activations:,}" if n_activations else "in place",
        spell_bytes(record["n_bytes"]) if n_activations else "",
        f"{record['parameters']} =" if n_params else "",
        f"{n_params:,}" if n_params else "",
        f"{n_flops:,}" if n_flops else "",
    )


def _html_row(cell, row, level=0, notation=""):
    """Return one line as HTML, with nested layers indented and numbers aligned right."""
    name, volume, *numbers = map(escape, (row[0].strip(), *row[1:]))
    left = f' style="text-align: left; padding-left: {0.5 + 1.5 * level}em" title="{escape(notation)}"'
    cells = [f"<{cell}{left}>{name}</{cell}>", f'<{cell} style="text-align: left">{volume}</{cell}>']
    cells += [f'<{cell} style="text-align: right">{number}</{cell}>' for number in numbers]
    return f"<tr>{''.join(cells)}</tr>"


def _line(row, widths):
    """Return one line of text, with names and volumes aligned left and numbers aligned right."""
    left = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
    right = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
    # The arithmetic and its result share a column.
    arithmetic, result = right.pop(2), right.pop(2)
    right.insert(2, f"{arithmetic} {result}")
    return "  ".join([*left, *right]).rstrip()


def spell_bytes(n):
    """Return a number of bytes with its unit."""
    n = int(n)
    if n < 1000:
        return f"{n} B"
    power = min((len(str(n)) - 1) // 3, 4)
    return f"{n / 1000**power:,.1f} {('kB', 'MB', 'GB', 'TB')[power - 1]}"
