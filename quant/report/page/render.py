"""The report page: a report rendered as one HTML file that loads nothing from a network."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from quant.outcome.gates import GATES, GateResult
from quant.outcome.job_parts import JobFacts, job_parts
from quant.outcome.page_assets import page_policy, script, styles
from quant.outcome.report import Report
from quant.report.page import layer_table, model_view, texts
from quant.report.page.layer_view import READING
from quant.report.page.model_charts import front_chart, network_chart

FRONT_STYLES = {"dots", "dots chosen-dot", "dots closed-form"}
"""The styles in the legend of the front of size and error."""


def report_html(report: Report) -> bytes:
    """Return the report as an HTML page; every text of the model in it is escaped.

    Durations and the job's id differ between equal jobs and are left out; `quant.outcome.job_parts` fills them in.
    """
    gates = [
        GateResult(name=gate.name, limit=gate.limit, value=gate.value, passed=gate.passed) for gate in report.gates
    ]
    parts = job_parts(JobFacts(gates, timed_gates=_timed_gates(report)))
    return (
        page()
        .render(
            report=report,
            view=_view(report),
            network=network_chart(report.layers),
            front=None if report.allocation is None else front_chart(report.allocation),
            parts={part.name.lower(): html for part, html in parts.items()},
            policy=page_policy(),
            script=Markup(script()),
            styles=Markup(styles()),
        )
        .encode()
    )


def sample_id(style: str) -> str:
    """Return the id of the sample of a style: the first two letters of each of its words, so that legends are short."""
    return "".join(word[:2] for word in style.replace("-", " ").split())


@cache
def page() -> Template:
    """Return the template of the page, which is compiled once in a process, as are those that it imports."""
    environment = Environment(
        loader=PackageLoader("quant.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    filters = (
        sample_id,
        texts.breakable,
        texts.decibels,
        texts.figure,
        texts.gain,
        texts.more,
        texts.percent,
        texts.size,
        texts.unbroken,
        texts.with_layer_links,
    )
    environment.filters.update({text.__name__: text for text in filters})
    for name in environment.list_templates():
        environment.get_template(name)
    return environment.get_template("report.html")


def _view(report: Report) -> dict[str, Any]:
    """Return the texts and tables of the page by their names in the template."""
    columns = layer_table.table_columns(report)
    common = layer_table.common_reasons(report)
    layers = layer_table.layer_views(report, columns, common)
    styles = {style for layer in layers for style, _ in layer.legend}
    return {
        "subtitle": model_view.subtitle(report),
        "summary_before": list(model_view.size_cards(report)),
        "summary_after": list(model_view.quality_cards(report)),
        "provenance": list(model_view.provenance(report)),
        "spec": model_view.spec_text(report),
        "outputs": model_view.output_table(report),
        "columns": columns,
        "layers": layers,
        "samples": sorted(styles | FRONT_STYLES) if report.allocation else sorted(styles),
        "operators": sorted({layer.op for layer in report.layers}),
        "numbers": {layer.name: number for number, layer in enumerate(report.layers, 1)},
        "reading": READING,
        "network_note": layer_table.network_note(columns, layers, common),
        "csv": model_view.csv_data(report),
        "candidates": model_view.candidates(report),
        "choice_note": model_view.choice_note(report),
        "chosen_allocation": report.allocation and model_view.allocation_text("chosen", report.allocation.chosen),
        "closed_form": report.allocation
        and model_view.allocation_text(
            "closed form (ACIQ) with as many bits, for comparison", report.allocation.closed_form
        ),
        "total_shift": model_view.total_shift(report),
        "bounds": model_view.bounds(report),
    }


def _timed_gates(report: Report) -> int:
    """Return the number of gates on durations that the spec sets."""
    return sum(gate.is_timed and (report.spec.get("gates") or {}).get(gate.name) is not None for gate in GATES)
