"""The form describes a job, keeps what was typed, and names every fault at its field or line."""

import pytest

from quant.errors import MOST_FAULTS
from quant.spec import resolve
from service.documents import SPEC_BYTES
from service.pages.new_job_form import FORM_GATES, Typed, as_yaml, check_form
from tests.service.pages.jobs import HOSTILE, a_job

DATA = {"model": "model_1", "calibration": "dataset_1", "evaluation": "dataset_2"}


def typed(**fields):
    return Typed.of_form(DATA | fields)


def test_a_preset_and_files_are_enough():
    checked = check_form(typed(preset="int4"))
    assert checked.valid
    unset = {"webhook": None, "baseline": None, "destination": None}
    assert checked.body.model_dump() == DATA | unset | {"spec": {"preset": "int4"}, "tags": {}, "priority": 0}


def test_preset_gates_options_and_tags_make_one_job():
    form = {"gate.min_output_sqnr_db": " 20 ", "options": "weights:\r\n  bits: 4\r\n", "tags": "branch: main\r\n\r\nx:"}
    checked = check_form(typed(**form))
    assert checked.body.spec == {"preset": "int8", "weights": {"bits": 4}, "gates": {"min_output_sqnr_db": 20}}
    assert checked.body.tags == {"branch": "main", "x": ""}


def test_a_pasted_spec_replaces_the_choices_above():
    form = {"gate.min_output_sqnr_db": "20", "gate.max_size_ratio": "0.5"}
    checked = check_form(typed(options="preset: int4\ngates: {max_size_ratio: 0.3}", **form))
    assert checked.body.spec == {"preset": "int4", "gates": {"min_output_sqnr_db": 20, "max_size_ratio": 0.3}}
    assert checked.replaced_preset == "int4"


def test_a_job_is_described_by_the_form_that_its_own_fields_fill():
    spec = {
        "preset": "int4", "weights": {"bits": 4, "grid": {"name": "kmeans"}}, "seed": 3,
        "gates": {"min_output_sqnr_db": 20.5, "max_size_ratio": 0.1}, "layers": [{"match": HOSTILE, "skip": True}],
    }  # fmt: skip
    job = a_job(spec=spec, tags={"branch": "main", "build": "1:2"}, model="model_1", calibration="dataset_1")
    again = Typed.of_job(job)
    assert again.gates["min_output_sqnr_db"] == "20.5"
    assert "gates" not in again.options
    body = check_form(Typed.of_form(form_of(again) | {"evaluation": "dataset_2"})).body
    assert (body.spec, body.tags, body.calibration) == (spec, job.tags, "dataset_1")


def form_of(fields):
    """The form as a browser sends it."""
    gates = {f"gate.{name}": value for name, value in fields.gates.items()}
    return {name: getattr(fields, name) for name in ("model", "calibration", "preset", "options", "tags")} | gates


@pytest.mark.parametrize("gates", [None, [], {"min_output_sqnr_db": "twenty"}, {"unknown": 1}])
def test_a_job_with_odd_gates_fills_the_form(gates):
    assert set(Typed.of_job(a_job(spec={"gates": gates})).gates.values()) == {""}


@pytest.mark.parametrize(
    ("fields", "field", "text"),
    [
        ({"model": ""}, "model", "Choose a model"),
        ({"calibration": ""}, "calibration", "activations needs calibration data"),
        ({"evaluation": "", "gate.min_output_sqnr_db": "20"}, "evaluation", "measured on evaluation data"),
        ({"preset": "int9"}, "preset", "Input should be"),
        ({"gate.min_output_sqnr_db": "high"}, "gate.min_output_sqnr_db", "not a number"),
        ({"gate.min_output_sqnr_db": "nan"}, "gate.min_output_sqnr_db", "not a number"),
        ({"gate.max_size_ratio": "-1"}, "gate.max_size_ratio", "greater than"),
        ({"tags": "main"}, "tags", "key: value"),
        ({"tags": ": main"}, "tags", "key: value"),
        ({"tags": "a: 1\na: 2"}, "tags", "again"),
        ({"tags": "\n".join(f"{n}: x" for n in range(33))}, "tags", "32"),
        ({"tags": f"a: {'x' * 257}"}, "tags", "256"),
    ],
)  # fmt: skip
def test_a_fault_is_named_at_its_field(fields, field, text):
    checked = check_form(typed(**fields))
    assert not checked.valid
    assert [name for name, texts in checked.faults.items() if texts] == [field]
    assert text in " ".join(checked.faults[field])


@pytest.mark.parametrize(
    ("options", "line", "pointer", "text"),
    [
        ("seed: 1\nweights:\n  bits: 1", 3, "/weights/bits", "Input should be"),
        ("seed: 1\nwieghts: {}", 2, "/wieghts", "accepted: preset, weights"),
        ("layers:\n  - match: a\n    skp: true", 3, "/layers/0/skp", "accepted: match, skip, weights"),
        ("gates:\n  min_output_sqnr_db: x", 2, "/gates/min_output_sqnr_db", "number"),
        ("preset: int9", 1, "/preset", "Input should be"),
        ("seed: 1\na: b: c", 2, "", "line 2, column 5"),
        ("- a", None, "", "not a mapping"),
        ("objective: smallest_within_gates", None, "", "needs a gate on quality"),
        ("a: &x 1\nb: *x", None, "", "alias"),
        ("# " + "x" * SPEC_BYTES, None, "", "longer than"),
        ("seed: \ud800", None, "", "unacceptable character"),
    ],
)
def test_a_fault_of_the_options_has_its_line(options, line, pointer, text):
    checked = check_form(typed(options=options))
    assert not checked.valid
    (fault,) = checked.lines
    assert (fault.line, fault.pointer) == (line, pointer)
    assert text in fault.detail


def test_faults_of_the_options_are_in_the_order_of_their_lines():
    lines = check_form(typed(options="a: 1\nweights:\n  b: 1\nc: 2")).lines
    assert [fault.line for fault in lines] == [1, 3, 4]


def test_the_target_is_a_part_of_the_export_section():
    chosen = typed(profile="tensorrt", options="export: {opset: 22}")
    assert check_form(chosen).spec["export"] == {"profile": "tensorrt", "opset": 22}
    named = typed(profile="tensorrt", options="export: {profile: generic}")
    assert check_form(named).spec["export"] == {"profile": "generic"}
    assert "export" not in check_form(typed()).spec
    (fault,) = check_form(typed(profile="abacus")).faults["profile"]
    assert "accepted: ort-cpu" in fault


def test_many_faults_are_listed_in_part():
    options = "\n".join(f"k{n}: 1" for n in range(600))
    lines = check_form(typed(options=options)).lines
    assert (len(lines), lines[-1].detail) == (MOST_FAULTS + 1, f"{600 - MOST_FAULTS} more faults are left out")


def test_all_faults_are_found_at_once():
    checked = check_form(typed(model="", tags="x", options="a: 1", **{"gate.max_size_ratio": "x"}))
    assert checked.faults.keys() == {"model", "tags", "gate.max_size_ratio"}
    assert len(checked.lines) == 1


def test_a_form_with_missing_or_foreign_fields_is_an_empty_form():
    assert Typed.of_form({"model": object(), "x": "y"}) == Typed(gates={gate.name: "" for gate in FORM_GATES})


def test_a_spec_keeps_its_meaning_as_yaml():
    checked = check_form(typed(options=as_yaml({"layers": [{"match": "on"}, {"match": "1e3"}], "metric": None})))
    assert resolve(checked.spec).layers[1].match == "1e3"
