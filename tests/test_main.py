"""The command line: demo, summary, inspect and warmup."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import skconvnet
from skconvnet import ARCHITECTURES
from skconvnet import __main__ as command_line
from skconvnet.architecture.case_studies import CASE_STUDIES
from skconvnet.architecture.published import PUBLISHED
from skconvnet.demo import convolution_page
from skconvnet.engine.warmup import Warmup
from skconvnet.interchange import write_network
from tests.interchange.networks import random_network


def test_demo_reports_the_table_the_accuracy_and_the_times(capsys):
    command_line.main(["demo"])
    out = capsys.readouterr().out
    assert "[8x8x1]" in out
    assert float(re.search(r"held-out images +(\S+)", out).group(1)) > 0.98
    for what in ("compiling the kernels", "fitting", "predicting"):
        assert float(re.search(rf"^{what} +(\S+) s", out, re.MULTILINE).group(1)) >= 0


def test_demo_conv_writes_a_page(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    opened = []
    monkeypatch.setattr(command_line.webbrowser, "open", opened.append)
    command_line.main(["demo", "conv"])
    page = Path("convolution-demo.html")
    assert page.read_text(encoding="utf-8") == convolution_page()
    assert opened == []
    numbers = ["--F", "2", "--S", "1", "-P", "0", "--K", "3"]
    command_line.main(["demo", "conv", "--input", "5X4x2", *numbers, "--output", "other.html", "--open"])
    other = Path("other.html")
    assert other.read_text(encoding="utf-8") == convolution_page((4, 5, 2), F=2, S=1, P=0, K=3)
    assert opened == [other.resolve().as_uri()]
    command_line.main(["demo", "conv", *numbers])
    assert page.read_text(encoding="utf-8") == convolution_page(F=2, S=1, P=0, K=3)  # as --help says
    assert capsys.readouterr().out == "convolution-demo.html\nother.html\nconvolution-demo.html\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "32x8x3"], "in the demo, W must be a whole number from 1 to 16, got 32"),
        (["--S", "0"], "in the demo, S must be a whole number from 1 to 16, got 0"),
        (["--output", "no/such/folder.html"], "cannot write no/such/folder.html: No such file or directory"),
    ],
)
def test_demo_conv_says_what_it_cannot_do(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message):
        command_line.main(["demo", "conv", *arguments])


def test_summary_reads_width_then_height(capsys):
    command_line.main(["summary", "INPUT -> CONV(K=12, F=3, S=1, P=1) -> RELU -> POOL -> FC", "--input", "32x16x3"])
    out = capsys.readouterr().out
    for volume in ("[32x16x3]", "[32x16x12]", "[16x8x12]", "[1x1x10]"):
        assert volume in out


STUDIES = CASE_STUDIES | PUBLISHED
PATTERNS = [name for name in ARCHITECTURES if name not in STUDIES]


@pytest.mark.parametrize("name", ["auto", *PATTERNS])
def test_summary_knows_the_names(capsys, name):
    options = ["--input", "32x32x1", "--classes", "7", "--hidden-layer-sizes", "64", "48"]
    command_line.main(["summary", name, *options])
    assert "[1x1x7]" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "study"), STUDIES.items())
def test_summary_of_a_case_study_uses_the_images_of_its_paper(capsys, name, study):
    command_line.main(["summary", name])
    out = capsys.readouterr().out
    height, width, depth = study.image_shape
    command_line.main(["summary", name, "--input", f"{width}x{height}x{depth}", "--classes", f"{study.n_classes}"])
    assert out == capsys.readouterr().out
    assert f"[{width}x{height}x{depth}]" in out
    assert f"[1x1x{study.n_classes}]" in out


def test_summary_of_a_case_study_on_other_images(capsys):
    command_line.main(["summary", "resnet18", "--input", "64x32x1", "--classes", "7"])
    out = capsys.readouterr().out
    assert "[64x32x1]" in out
    assert "[1x1x7]" in out


def test_summary_takes_the_sliding_windows_hyperparameters(capsys):
    text = "INPUT -> [CONV -> RELU -> POOL]*2 -> FC"
    command_line.main(["summary", text, "-K", "6", "9", "-F", "5", "-S", "1", "-P", "2", "same"])
    out = capsys.readouterr().out
    for part in ("[32x32x6]", "5*5*3*6 + 6", "[16x16x9]", "5*5*6*9 + 9"):
        assert part in out
    command_line.main(["summary", "INPUT -> CONV -> FC", "-K", "auto", "-P", "valid"])
    assert "[30x30x32]" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="K has length 3, but the network has 2 CONV layers"):
        command_line.main(["summary", text, "-K", "6", "9", "12"])
    with pytest.raises(SystemExit, match="F must be a whole number from 1"):
        command_line.main(["summary", text, "-F", "same"])
    with pytest.raises(SystemExit, match="P must be a whole number from 0"):
        command_line.main(["summary", text, "-P", "none"])


def test_summary_shows_an_architecture_error_and_no_traceback():
    command = [sys.executable, "-m", "skconvnet", "summary", "INPUT -> CONV -> -> FC"]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode == 1
    assert "^" in process.stderr
    assert "Traceback" not in process.stderr


def test_summary_ends_without_error_when_its_output_is_closed():
    command = [sys.executable, "-m", "skconvnet", "summary", "vgg16"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()  # before the process writes anything
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_summary_suggests_a_name_for_a_misspelled_one():
    with pytest.raises(SystemExit, match=r"did you mean vgg16\?"):
        command_line.main(["summary", "VGG-16"])


def test_summary_rejects_an_input_that_is_not_a_volume(capsys):
    with pytest.raises(SystemExit):
        command_line.main(["summary", "INPUT -> FC", "--input", "32"])
    assert "give width x height x channels" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command_line.main(["summary", "INPUT -> FC", "--input", "0x5x1"])
    assert "'0x5x1' is width x height x channels, and its width is 0" in capsys.readouterr().err


def test_summary_says_what_it_took(capsys):
    command_line.main(["summary", "INPUT -> FC", "--input", "28x14"])
    assert capsys.readouterr().out.startswith("images: 28 wide, 14 high, 1 channel\n")
    text = "INPUT -> [[CONV -> RELU]*N -> POOL?]*M -> FC"
    command_line.main(["summary", text, "--input", "8x9x3", "-N", "1", "-M", "2", "--pool", "yes", "no"])
    out, err = capsys.readouterr()
    assert out.startswith("images: 8 wide, 9 high, 3 channels\n")
    assert (out.count("CONV"), out.count("POOL"), err) == (2, 1, "")
    with pytest.raises(SystemExit, match=r"POOL 1 over the height of .* rounding='exact' refuses it"):
        command_line.main(["summary", text, "--input", "8x9x3", "-M", "1", "--rounding", "exact"])


def test_summary_tells_what_has_no_effect(capsys):
    command_line.main(["summary", "lenet5", "-F", "7", "-N", "3"])
    told = "F has no effect: each CONV spells its own\nN has no effect: nothing is repeated *N\n"
    assert capsys.readouterr().err == told
    command_line.main(["summary", "lenet5", "-N", "2"])  # the default, which was given
    assert capsys.readouterr().err == "N has no effect: nothing is repeated *N\n"
    command_line.main(["summary", "auto", "--input", "32x32x3", "-N", "1", "-M", "6"])
    assert capsys.readouterr().err == ""
    command_line.main(["summary", "INPUT -> CONV(F=99) -> FC", "--input", "8x8x1"])
    assert capsys.readouterr().err.startswith("CONV 1 has filters of F=99, and its input is [8x8x1]: F=15 reaches")


def test_version(capsys):
    with pytest.raises(SystemExit):
        command_line.main(["--version"])
    assert capsys.readouterr().out == f"skconvnet {skconvnet.__version__}\n"


def test_warmup_says_how_long_it_took_and_where_the_cache_is(capsys):
    command_line.main(["warmup"])
    ready, cache = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"kernels (compiled|loaded) in \d+\.\d s", ready)
    assert Path(cache.removeprefix("cache: ")).is_dir()


def test_warmup_fails_where_no_directory_keeps_the_kernels(capsys, monkeypatch):
    monkeypatch.setattr(command_line.kernels, "warmup", lambda: Warmup(8.3, compiled=True, cache=None))
    with pytest.raises(SystemExit) as ended:
        command_line.main(["warmup"])
    assert ended.value.code == 1
    assert "cache: none" in capsys.readouterr().out


def test_inspect_tells_what_a_file_holds(capsys, tmp_path):
    (tmp_path / "network.safetensors").write_bytes(write_network(random_network()))
    command_line.main(["inspect", str(tmp_path / "network.safetensors")])
    assert "3 classes: a, b, c" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="there is no such file"):
        command_line.main(["inspect", str(tmp_path / "other.safetensors")])
