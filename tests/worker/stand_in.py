"""Code that replaces the quantizer: it answers as `python -m quant` does, or as a hostile process would."""

import json

from quant.outcome.artifacts import ARTIFACTS

NAMES = [kind.name for kind in ARTIFACTS if kind.always]

SUMMARY = {
    "bytes_before": 100, "bytes_after": 30, "size_ratio": 0.3, "layers": 1, "quantized_layers": 1, "seconds": 0.5,
    **dict.fromkeys(
        ("weight_sqnr_db", "output_sqnr_db", "output_cosine", "top1_agreement", "top1_float", "top1_quantized")
    ),
}  # fmt: skip
READS = "import hashlib, json, os, pathlib, sys, time\njob = json.loads(sys.stdin.readline())\n"
MAKES_ALL = f"""
def look(path):
    data = pathlib.Path(path).read_bytes()
    return {{"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}}

for name in {[name for name in NAMES if name not in ("report.json", "manifest.json")]}:
    pathlib.Path("out", name).write_text(name)
report = {{"summary": {{}}, "layers": [{{"name": "conv1"}}]}}
pathlib.Path("out/report.json").write_text(json.dumps(report))
manifest = {{
    "inputs": {{role: look(role) for role in ("model", "calibration", "evaluation") if role in job}},
    "artifacts": [{{"name": name, **look("out/" + name)}} for name in sorted(os.listdir("out"))],
    "isolation": os.environ["QUANTD_SANDBOX"].split(),
}}
pathlib.Path("out/manifest.json").write_text(json.dumps(manifest))
"""
"""Everything that a job makes, in its folder."""


def last_line(**changes):
    """Return code that reports the end of a successful job."""
    line = {"event": "done", "summary": SUMMARY, "verdict": None, "gates": [], "timings": {"conv1": 0.1}, **changes}
    return f"\nprint({json.dumps(json.dumps(line))})\n"


DONE = last_line()
