import json
from html.parser import HTMLParser

import pandas as pd
import pytest

from skconvnet.architecture import ARCHITECTURES, Architecture, ArchitectureError, VolumeTable

EXAMPLE = Architecture.parse("[INPUT - CONV(K=12, F=5) - RELU - POOL - FC]").summary((32, 32, 3), 10)


def test_totals_of_the_example_of_the_notes():
    n_params = (5 * 5 * 3 * 12 + 12) + (16 * 16 * 12 * 10 + 10)
    assert EXAMPLE.n_params == n_params
    assert EXAMPLE.n_flops == 32 * 32 * 12 * 5 * 5 * 3 + 16 * 16 * 12 * 10
    n_activations = 32 * 32 * 3 + 32 * 32 * 12 + 16 * 16 * 12 + 10
    assert EXAMPLE.n_bytes == 4 * (n_params + n_activations)


def test_records_are_plain():
    assert [record["layer"] for record in EXAMPLE.records] == ["INPUT", "CONV 1", "RELU 1", "POOL 1", "FC 1"]
    assert EXAMPLE.records[1] == {
        "layer": "CONV 1", "notation": "CONV(K=12, F=5, S=1, P=2)", "level": 0,
        "height": 32, "width": 32, "depth": 12, "n_activations": 12288, "n_bytes": 49152,
        "parameters": "5*5*3*12 + 12", "n_weights": 900, "n_biases": 12, "n_params": 912, "n_flops": 921600,
    }  # fmt: skip
    assert len({tuple(record) for record in EXAMPLE.records}) == 1


def test_table_shows_volume_memory_and_arithmetic():
    lines = str(EXAMPLE).split("\n")
    conv = next(line for line in lines if line.startswith("CONV 1"))
    assert conv.split("  ")[1] == "[32x32x12]"
    assert "5*5*3*12 + 12 =        912" in conv
    assert conv.endswith("921,600")
    assert "in place" in next(line for line in lines if line.startswith("RELU 1"))
    total = next(line for line in lines if line.startswith("total"))
    assert total.split() == ["total", "18,442", "73.8", "kB", "31,642", "952,320"]
    assert len({len(line) for line in lines if "CONV" in line or "FC" in line or "--" in line}) == 1


def test_branches_are_counted_once():
    text = "INPUT -> (CONV(K=5) -> RELU | (CONV(K=7, F=1) + POOL(F=1, S=1) -> CONV(K=7))) -> FC"
    bound = Architecture.parse(text).bind((8, 8, 3), 10)
    table = bound.summary()
    assert [(record["layer"], record["level"]) for record in table.records] == [
        ("INPUT", 0), ("CONV 1", 1), ("RELU 1", 1), ("CONV 2", 2), ("POOL 1", 2), ("CONV 3", 2), ("SUM 1", 1),
        ("STACK 1", 0), ("FC 1", 0),
    ]  # fmt: skip
    assert table.n_params == sum(layer.n_weights + layer.n_biases for layer in bound.layers)
    assert table.n_params == (27 * 5 + 5) + (3 * 7 + 7) + (27 * 7 + 7) + (8 * 8 * 12 * 10 + 10)
    assert table.n_flops == sum(layer.n_flops for layer in bound.layers)
    assert "    CONV 2" in str(table)


@pytest.mark.parametrize(
    ("units", "memory"), [(249, "996 B"), (250, "1.0 kB"), (250_000, "1.0 MB"), (250_000_000, "1.0 GB")]
)
def test_units_of_bytes(units, memory):
    table = Architecture.parse(f"INPUT -> FC({units}) -> FC").summary((1, 1, 1), 2)
    assert memory in next(line for line in str(table).split("\n") if line.startswith("FC 1"))


def test_vgg16_as_the_notes_count_it():
    """CS231n, "VGGNet in detail": the rows of its memory column, and both totals.

    The notes print a sum of 24M for these very rows; they add up to 15.2M.
    """
    table = ARCHITECTURES["vgg16"].summary((224, 224, 3), 1000)
    rows = [224 * 224 * 3, *[224 * 224 * 64] * 2, 112 * 112 * 64, *[112 * 112 * 128] * 2, 56 * 56 * 128]
    rows += [*[56 * 56 * 256] * 3, 28 * 28 * 256, *[28 * 28 * 512] * 3, 14 * 14 * 512, *[14 * 14 * 512] * 3]
    rows += [7 * 7 * 512, 4096, 4096, 1000]
    assert [record["n_activations"] for record in table.records if record["n_activations"]] == rows
    assert table.n_activations == sum(rows) == 15_237_608
    assert [record["n_weights"] for record in table.records if record["n_weights"]] == [
        1_728, 36_864, 73_728, 147_456, 294_912, 589_824, 589_824, 1_179_648, *[2_359_296] * 5,
        102_760_448, 16_777_216, 4_096_000,
    ]  # fmt: skip
    assert sum(record["n_weights"] for record in table.records) == 138_344_128  # "138M parameters"


@pytest.mark.parametrize(("optimizer", "copies"), [("sgd", 2), ("momentum", 3), ("adam", 4)])
def test_training_stores_gradients_and_optimizer_state(optimizer, copies):
    training = EXAMPLE.training_bytes(batch_size=7, optimizer=optimizer)
    image, parameters = 4 * 18_442, 4 * 31_642
    assert training["total"] == copies * parameters + 7 * 2 * image
    assert training["total"] == sum(n for part, n in training.items() if part != "total")
    assert training["activations"] == training["activation_gradients"] == 7 * image
    assert training["parameters"] == training["gradients"] == parameters
    assert training["optimizer_state"] == (copies - 2) * parameters


@pytest.mark.parametrize(
    "arguments", [{"batch_size": 0}, {"batch_size": 1.5}, {"optimizer": "lion"}, {"optimizer": []}]
)
def test_bad_arguments_of_training_bytes_are_rejected(arguments):
    with pytest.raises(ArchitectureError, match=next(iter(arguments))):
        EXAMPLE.training_bytes(**arguments)


def test_notes_below_the_table():
    notes = str(EXAMPLE).partition("\n\n")[2]
    assert "73.8 kB forward, 147.5 kB forward and backward" in notes
    assert "126.6 kB, and as much for their gradients" in notes
    assert "none for plain SGD, 126.6 kB with momentum, 253.1 kB with Adam" in notes
    assert "126.6 kB + 73.8 kB = 200.3 kB" in notes
    assert "training on 32 images    4 * 126.6 kB with Adam + 32 * 147.5 kB = 5.2 MB" in notes


def test_running_statistics_are_not_parameters():
    table = Architecture.parse("INPUT -> CONV(K=5, bias=no) -> NORM -> NORM(lrn) -> NORM(layer) -> FC").summary(
        (4, 4, 1), 2
    )
    assert [record["n_params"] for record in table.records] == [0, 45, 10, 0, 10, 162]
    assert [record["n_activations"] for record in table.records] == [16, 80, 80, 80, 80, 2]


class Cells(HTMLParser):
    """The rows of all tables. Fails if tags do not match."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.open, self.in_cell = [], [], False
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def test_html_has_the_cells_of_the_text():
    table = Architecture.parse("INPUT -> (CONV(K=5) -> RELU | POOL(F=1, S=1)) -> FC").summary((8, 8, 3), 10)
    html = table._repr_html_()
    rows = Cells(html).rows
    assert rows[0] == ["layer", "volume", "activations", "memory", "", "parameters", "multiply-adds"]
    assert [row[0] for row in rows[1:]] == ["INPUT", "CONV 1", "RELU 1", "POOL 1", "STACK 1", "FC 1", "total"]
    assert rows[2][1:] == ["[8x8x5]", "320", "1.3 kB", "3*3*3*5 + 5 =", "140", "8,640"]
    assert {len(row) for row in rows} == {7}
    assert 'title="CONV(K=5, F=3, S=1, P=1)"' in html
    assert "padding-left: 2.0em" in html
    assert "training on 32 images" in html


def test_html_escapes_everything():
    record = dict(EXAMPLE.records[1]) | {"layer": "<b>&", "notation": '"><script>', "parameters": "</td><i>"}
    html = VolumeTable([record], 1, 1, 1)._repr_html_()
    assert Cells(html).rows[1][0] == "<b>&"
    for tag in ("<b>", "<script>", "<i>"):
        assert tag not in html
    assert "&quot;&gt;&lt;script&gt;" in html


def test_records_fit_pandas_and_json():
    table = ARCHITECTURES["googlenet"].summary((224, 224, 3), 1000)
    frame = pd.DataFrame(table.records)
    assert frame["n_params"].sum() == table.n_params
    assert frame["n_flops"].sum() == table.n_flops
    assert 4 * (frame["n_params"].sum() + frame["n_activations"].sum()) == table.n_bytes
    assert json.loads(json.dumps(table.records)) == table.records
