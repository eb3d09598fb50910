import pytest

from skconvnet.architecture import Architecture

SEEDS_EXAMPLE = Architecture.parse("[INPUT - CONV(K=12, F=5) - RELU - POOL - FC]").summary((32, 32, 3), 10)


def test_totals_of_the_seeds_example():
    n_params = (5 * 5 * 3 * 12 + 12) + (16 * 16 * 12 * 10 + 10)
    assert SEEDS_EXAMPLE.n_params == n_params
    assert SEEDS_EXAMPLE.n_flops == 32 * 32 * 12 * 5 * 5 * 3 + 16 * 16 * 12 * 10
    n_activations = 32 * 32 * 3 + 32 * 32 * 12 + 16 * 16 * 12 + 10
    assert SEEDS_EXAMPLE.n_bytes == 4 * (n_params + n_activations)


def test_records_are_plain():
    assert [record["layer"] for record in SEEDS_EXAMPLE.records] == ["INPUT", "CONV 1", "RELU 1", "POOL 1", "FC 1"]
    assert SEEDS_EXAMPLE.records[1] == {
        "layer": "CONV 1", "notation": "CONV(K=12, F=5, S=1, P=2)", "level": 0,
        "height": 32, "width": 32, "depth": 12, "n_activations": 12288, "n_bytes": 49152,
        "parameters": "5*5*3*12 + 12", "n_weights": 900, "n_biases": 12, "n_params": 912, "n_flops": 921600,
    }  # fmt: skip
    assert len({tuple(record) for record in SEEDS_EXAMPLE.records}) == 1


def test_table_shows_volume_memory_and_arithmetic():
    lines = str(SEEDS_EXAMPLE).split("\n")
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
def test_bytes_are_said_in_their_unit(units, memory):
    table = Architecture.parse(f"INPUT -> FC({units}) -> FC").summary((1, 1, 1), 2)
    assert memory in next(line for line in str(table).split("\n") if line.startswith("FC 1"))
