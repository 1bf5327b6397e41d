"""The form of the page for a new job: what was typed, the job that it describes, and the faults in it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from pydantic import ValidationError

from jobs.job import Job
from quant.errors import DataRequired, FieldError, SpecError
from quant.outcome.gates import GATES
from quant.spec import Spec, require_data, resolve
from service.documents import lines_of, read_spec
from service.jobs.schemas import JobIn

FORM_GATES = tuple(gate for gate in GATES if not gate.of_baseline)
"""The gates that the form sets: it names no baseline."""
GATE_PREFIX = "gate."
"""The form's field of a gate is this and the gate's name."""
DEFAULT_PROFILE = "ort-cpu"
"""The profile of a spec that names none."""
_NOT_TYPED = "preset", "gates"
"""The keys of a spec that have fields of their own."""


@dataclass(frozen=True)
class LineFault:
    """A fault in the options: its line, from 1, or None where the text has none; its JSON pointer; its description."""

    line: int | None
    pointer: str
    detail: str


@dataclass(frozen=True)
class Typed:
    """The fields of the form, as they were typed or chosen.

    Attributes:
        model: the id of a model; "" if none is chosen.
        calibration: the id of a dataset; "" for none.
        evaluation: the id of a dataset; "" for none.
        preset: the chosen preset.
        profile: the chosen profile of a target machine.
        gates: the typed limit by the gate's name; "" for none.
        options: all other keys of the spec, as YAML. A preset or a gate here replaces the one that is chosen above.
        tags: one tag a line, `key: value`.
        rerun: run the job even if the result of an equal job is stored.
    """

    model: str = ""
    calibration: str = ""
    evaluation: str = ""
    preset: str = "int8"
    profile: str = DEFAULT_PROFILE
    gates: Mapping[str, str] = field(default_factory=lambda: {gate.name: "" for gate in FORM_GATES})
    options: str = ""
    tags: str = ""
    rerun: bool = False

    @property
    def limits_tasks(self) -> bool:
        """True if a gate on a figure of the model's task has a limit."""
        return any(gate.of_task and self.gates[gate.name] for gate in FORM_GATES)

    @classmethod
    def of_form(cls, form: Mapping[str, Any]) -> "Typed":
        """Return the fields of a submitted form; a missing one is empty."""

        def text(name: str) -> str:
            value = form.get(name, "")
            return value if isinstance(value, str) else ""

        return cls(
            model=text("model").strip(),
            calibration=text("calibration").strip(),
            evaluation=text("evaluation").strip(),
            preset=text("preset") or "int8",
            profile=text("profile") or DEFAULT_PROFILE,
            gates={gate.name: text(GATE_PREFIX + gate.name).strip() for gate in FORM_GATES},
            options=text("options").replace("\r\n", "\n"),
            tags=text("tags").replace("\r\n", "\n"),
            rerun=bool(text("rerun")),
        )

    @classmethod
    def of_job(cls, job: Job) -> "Typed":
        """Return the fields that describe a job again."""
        preset, gates = job.spec.get("preset", "int8"), job.spec.get("gates")
        typed = {gate.name: _number(gates.get(gate.name)) for gate in FORM_GATES} if isinstance(gates, dict) else {}
        options = {key: value for key, value in job.spec.items() if key not in _NOT_TYPED}
        profile, export = _split_profile(options.pop("export", {}))
        options |= {"export": export} if export else {}
        return cls(
            model=job.model,
            calibration=job.calibration or "",
            evaluation=job.evaluation or "",
            preset=str(preset),
            profile=profile,
            gates={gate.name: typed.get(gate.name, "") for gate in FORM_GATES},
            options=as_yaml(options) if options else "",
            tags="\n".join(f"{key}: {value}" for key, value in job.tags.items()),
        )


@dataclass(frozen=True)
class Checked:
    """The job that the form describes, and the faults in the form.

    Attributes:
        spec: the spec as it is submitted; empty if it cannot be read.
        resolved: the spec with its defaults; None if it is not valid.
        body: the job to submit; None if there is a fault.
        faults: descriptions by the name of the field. The options have theirs in `lines`.
        lines: the faults in the options.
        replaced_preset: the preset that the options name, if it differs from the chosen one; else "".
    """

    spec: dict[str, Any]
    resolved: Spec | None
    body: JobIn | None
    faults: Mapping[str, tuple[str, ...]]
    lines: tuple[LineFault, ...] = ()
    replaced_preset: str = ""

    @property
    def valid(self) -> bool:
        """True if the job can be submitted."""
        return self.body is not None


def check_form(typed: Typed) -> Checked:
    """Return the job that the form describes, with every fault that can be found without opening the files."""
    faults: dict[str, tuple[str, ...]] = {} if typed.model else {"model": ("Choose a model, or upload one.",)}
    gates, gate_faults = _gates(typed.gates)
    tags, tag_faults = _tags(typed.tags)
    faults |= gate_faults | tag_faults
    try:
        options = read_spec(typed.options)
    except SpecError as error:
        return Checked({}, None, None, faults, _line_faults(error.errors, typed.options))
    spec = _merged(typed, gates, options)
    replaced = str(options["preset"]) if options.get("preset", typed.preset) != typed.preset else ""
    try:
        resolved = resolve(spec)
    except SpecError as error:
        in_fields, in_options = _by_field(error.errors, gates, options)
        return Checked(spec, None, None, faults | in_fields, _line_faults(in_options, typed.options), replaced)
    faults |= _missing_data(resolved, typed)
    body = None if faults else _body(typed, spec, tags)
    if isinstance(body, dict):
        faults, body = faults | body, None
    return Checked(spec, resolved, body, faults, (), replaced)


def as_yaml(document: Mapping[str, Any]) -> str:
    """Return a spec as YAML, in the order of its keys."""
    return yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=100)


def _split_profile(export: Any) -> tuple[str, Any]:
    """Return the profile that an export section names, and the rest of the section."""
    if not isinstance(export, dict) or not isinstance(export.get("profile"), str):
        return DEFAULT_PROFILE, export
    return export["profile"], {key: value for key, value in export.items() if key != "profile"}


def _merged(chosen: Typed, gates: Mapping[str, float], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the spec: the chosen preset, profile and gates, completed and replaced by the options."""
    spec = {"preset": chosen.preset, **options}
    export = options.get("export", {})
    if chosen.profile != DEFAULT_PROFILE and isinstance(export, dict):
        spec["export"] = {"profile": chosen.profile, **export}
    typed = options.get("gates", {})
    if gates and isinstance(typed, dict):
        spec["gates"] = {**gates, **typed}
    return spec


def _gates(typed: Mapping[str, str]) -> tuple[dict[str, float], dict[str, tuple[str, ...]]]:
    """Return the limits that were typed, and the faults by field."""
    limits: dict[str, float] = {}
    faults: dict[str, tuple[str, ...]] = {}
    for name, text in typed.items():
        if not text:
            continue
        try:
            limits[name] = float(text)
        except ValueError:
            limits[name] = math.nan
        if not math.isfinite(limits[name]):
            del limits[name]
            faults[GATE_PREFIX + name] = (f"{text!r} is not a number; accepted: a number such as 20 or 0.98",)
    return limits, faults


def _tags(text: str) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Return the tags, and the faults by field."""
    tags: dict[str, str] = {}
    faults: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        key, colon, value = (part.strip() for part in line.partition(":"))
        if not line.strip():
            continue
        if not key or not colon:
            faults.append(f"Line {number} is {line.strip()!r}; accepted: key: value")
        elif key in tags:
            faults.append(f"Line {number} names the tag {key!r} again; accepted: each tag once")
        else:
            tags[key] = value
    return tags, {"tags": tuple(faults)} if faults else {}


def _by_field(
    errors: Sequence[FieldError], gates: Mapping[str, float], options: Mapping[str, Any]
) -> tuple[dict[str, tuple[str, ...]], list[FieldError]]:
    """Return the faults of the fields by their names, and the faults of the options."""
    fields: dict[str, tuple[str, ...]] = {}
    rest = []
    typed = options.get("gates")
    for error in errors:
        name = error.pointer.removeprefix("/gates/")
        if error.pointer == "/preset" and "preset" not in options:
            fields["preset"] = (_plain(error.detail),)
        elif error.pointer == "/export/profile" and "profile" not in (options.get("export") or {}):
            fields["profile"] = (_plain(error.detail),)
        elif name in gates and name not in (typed if isinstance(typed, dict) else {}):
            fields[GATE_PREFIX + name] = (_plain(error.detail),)
        else:
            rest.append(error)
    return fields, rest


def _line_faults(errors: Sequence[FieldError], text: str) -> tuple[LineFault, ...]:
    """Return the faults of the options in the order of their lines, those of the whole text last."""
    lines = lines_of(text, [error.pointer for error in errors])
    faults = [LineFault(line, error.pointer, _plain(error.detail)) for line, error in zip(lines, errors, strict=True)]
    return tuple(sorted(faults, key=lambda fault: (fault.pointer == "", fault.line or 0)))


def _missing_data(spec: Spec, typed: Typed) -> dict[str, tuple[str, ...]]:
    """Return the faults of the two datasets by field, if the spec needs one that is not chosen."""
    faults = {}
    for role in ("calibration", "evaluation"):
        try:
            require_data(
                spec,
                calibration=bool(typed.calibration) or role != "calibration",
                evaluation=bool(typed.evaluation) or role != "evaluation",
            )
        except DataRequired as error:
            faults[role] = tuple(f"{fault.pointer[1:]} {fault.detail}" for fault in error.errors)
    return faults


def _body(typed: Typed, spec: Mapping[str, Any], tags: Mapping[str, str]) -> JobIn | dict[str, tuple[str, ...]]:
    """Return the job to submit, or the faults of its tags."""
    try:
        return JobIn(
            model=typed.model,
            calibration=typed.calibration or None,
            evaluation=typed.evaluation or None,
            spec=dict(spec),
            tags=dict(tags),
        )
    except ValidationError as error:
        return {"tags": tuple(_plain(fault["msg"]) for fault in error.errors(include_url=False))}


def _number(value: object) -> str:
    return f"{value:.15g}" if isinstance(value, int | float) else ""


def _plain(detail: str) -> str:
    """Return a fault's description in the words of a spec, not of pydantic."""
    return detail.removeprefix("Value error, ")
