"""`make demo`: quantize the example model at int8 and int4 through the embedded service, and print the results."""

import tempfile
from pathlib import Path

from rich.console import Console

from jobs.stack import Stack
from quant.outcome.artifacts import ARTIFACTS
from quantd import Client
from quantd.progress import show_progress
from quantd.tables import layer_table, summary_table

EXAMPLES = Path(__file__).parent
OUT = EXAMPLES.parent / "demo-output"
GATES = {"max_top1_drop_points": 1.0}


def main() -> None:
    console = Console(width=None if Console().is_terminal else 160)
    with tempfile.TemporaryDirectory(prefix="quantd-demo-") as state, Stack(Path(state)) as stack:
        console.print(f"quantd serves at {stack.url}", highlight=False)
        with Client(stack.url) as client:
            model = client.upload(EXAMPLES / "digits.onnx")
            calibration = client.upload_dataset(EXAMPLES / "digits_calibration.npz")
            evaluation = client.upload_dataset(EXAMPLES / "digits_evaluation.npz")
            summaries = {}
            for preset in ("int8", "int4"):
                spec = {"preset": preset, "gates": GATES}
                job = client.quantize(model, spec, calibration=calibration, evaluation=evaluation)
                show_progress(console, job.events())
                job.wait()
                summaries[f"{preset} ({job.verdict})"] = job.document["summary"]
                folder = OUT / preset
                folder.mkdir(parents=True, exist_ok=True)
                for name in [kind.name for kind in ARTIFACTS if kind.always]:
                    job.download(folder / name, name)
                console.print(layer_table(job.report().document, f"digits.onnx at {preset}"))
    console.print(summary_table(summaries))
    console.print(f"The models and their reports are in {OUT}: open {OUT / 'int4' / 'report.html'}", highlight=False)


if __name__ == "__main__":
    main()
