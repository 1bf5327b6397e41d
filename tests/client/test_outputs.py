"""The files that a command writes."""

from pathlib import Path

import pytest

from quantd.errors import ClientError
from quantd.outputs import Outputs


def refusal(outputs, *inputs):
    with pytest.raises(ClientError) as error:
        outputs.check(inputs)
    return str(error.value)


def test_files_that_can_be_written_are_accepted_and_leave_no_trace(tmp_path):
    (tmp_path / "old.html").write_text("old")
    Outputs(tmp_path / "m.onnx", tmp_path / "old.html", csv=Path("/dev/null"), markdown=Path("/dev/null")).check()
    assert [path.name for path in tmp_path.iterdir()] == ["old.html"]
    assert (tmp_path / "old.html").read_text() == "old"


@pytest.mark.parametrize("field", ["model", "markdown", "csv", "junit"])
def test_every_file_is_checked(tmp_path, field):
    assert "there is no folder" in refusal(Outputs(**{field: tmp_path / "nowhere" / "file"}))


def test_a_folder_is_no_file(tmp_path):
    assert "this is a folder" in refusal(Outputs(tmp_path))


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    assert "there is no folder" in refusal(Outputs(tmp_path / "file" / "m.onnx"))


def test_a_folder_that_takes_no_files_is_refused():
    assert "cannot be written" in refusal(Outputs(Path("/proc/m.onnx")))


def test_an_input_is_not_overwritten(tmp_path):
    (tmp_path / "m.onnx").touch()
    (tmp_path / "link.onnx").symlink_to(tmp_path / "m.onnx")
    assert "this is also the input" in refusal(Outputs(tmp_path / "link.onnx"), tmp_path / "m.onnx")


def test_two_options_need_two_files(tmp_path):
    assert "this is also the file of -o" in refusal(Outputs(tmp_path / "a", csv=tmp_path / "a"))


def test_a_report_has_a_known_ending(tmp_path):
    assert ".html" in refusal(Outputs(report=tmp_path / "report.pdf"))


@pytest.mark.parametrize(
    ("name", "field"),
    [("r.html", "report"), ("r.json", "report"), ("r.md", "markdown"), ("r.csv", "csv"), ("r.xml", "junit")],
)
def test_the_ending_of_a_report_selects_its_form(name, field):
    assert Outputs.of_report(Path(name)) == Outputs(**{field: Path(name)})


def test_an_unknown_ending_is_refused_with_the_known_ones():
    with pytest.raises(ClientError, match=r"\.md, \.csv"):
        Outputs.of_report(Path("r.txt"))


def test_only_what_is_needed_is_downloaded():
    every = {
        "model.onnx",
        "model.onnx.data",
        "report.json",
        "report.html",
        "report.md",
        "layers.csv",
        "gates.junit.xml",
    }
    assert Outputs().needed(every) == {"report.json"}
    assert Outputs(Path("m.onnx")).needed(every) == {"report.json", "model.onnx", "model.onnx.data"}
    assert Outputs(Path("m.onnx")).needed({"model.onnx"}) == {"report.json", "model.onnx"}
    assert Outputs(report=Path("r.html"), csv=Path("c")).needed(every) == {"report.json", "report.html", "layers.csv"}
    assert Outputs(report=Path("r.json"), markdown=Path("m")).needed(every) == {"report.json", "report.md"}
