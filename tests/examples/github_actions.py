"""A small runner of GitHub workflows: `run` steps in bash, local composite actions, and others as no-ops."""

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
PINNED = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40}")
SHELLS = {"bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"], None: ["bash", "-e"]}


@dataclass
class Steps:
    """The steps of a job or of a composite action, and what they have produced."""

    contexts: dict[str, Any]
    failed: bool = False

    def __post_init__(self) -> None:
        self.contexts = {**self.contexts, "steps": {}}

    def text(self, value: Any) -> str:
        """Return a value with its expressions evaluated."""
        return EXPRESSION.sub(lambda match: self.lookup(match[1]), str(value))

    def lookup(self, path: str) -> str:
        """Return the value at a path such as `steps.quantize.outputs.job`; empty where there is none."""
        value: Any = self.contexts
        for name in path.split("."):
            value = value.get(name, {})
        return str(value) if value != {} else ""

    def is_due(self, condition: str) -> bool:
        """Return the value of a step's `if`."""
        match = EXPRESSION.fullmatch(condition)
        return {"success()": not self.failed, "failure()": self.failed, "always()": True}[
            match[1] if match else condition
        ]


@dataclass
class Runner:
    """A runner of one job in a workspace.

    Attributes:
        workspace: the folder of the checked-out repository.
        scratch: a folder for files of the runner.
        environment: the variables that every step sees.
        log: the output of all steps.
        uploaded: the files of each uploaded artifact by its name.
    """

    workspace: Path
    scratch: Path
    environment: dict[str, str]
    log: str = ""
    uploaded: dict[str, set[str]] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The summary that the steps wrote."""
        path = self.scratch / "summary"
        return path.read_text() if path.exists() else ""

    def run(self, workflow: Path, **contexts: dict[str, str]) -> Steps:
        """Run the only job of a workflow."""
        (job,) = yaml.safe_load(workflow.read_text())["jobs"].values()
        return self._run_all(job["steps"], Steps(contexts))

    def _run_all(self, steps: list[dict[str, Any]], state: Steps, action: Path | None = None) -> Steps:
        for step in steps:
            if state.is_due(step.get("if", "success()")):
                passed, outputs = self._run(step, state, action)
                state.failed |= not passed
                state.contexts["steps"][step.get("id", "")] = {"outputs": outputs}
        return state

    def _run(self, step: dict[str, Any], state: Steps, action: Path | None) -> tuple[bool, dict[str, str]]:
        """Return whether a step passed, and its outputs."""
        if "run" in step:
            assert action is None or "shell" in step, "a step of an action names its shell"
            return self._run_script(step, state, action)
        inputs = {name: state.text(value) for name, value in step.get("with", {}).items()}
        if step["uses"].startswith("./"):
            return self._run_action(self.workspace / step["uses"], inputs)
        assert PINNED.fullmatch(step["uses"]), f"{step['uses']} is not pinned"
        name = step["uses"].partition("@")[0]
        if name == "actions/upload-artifact":
            self.uploaded[inputs["name"]] = {path.name for path in (self.workspace / inputs["path"]).glob("*")}
        return True, {}

    def _run_action(self, folder: Path, inputs: dict[str, str]) -> tuple[bool, dict[str, str]]:
        action = yaml.safe_load((folder / "action.yml").read_text())
        assert set(inputs) <= set(action["inputs"])
        for name, declared in action["inputs"].items():
            assert name in inputs or not declared.get("required")
            inputs.setdefault(name, declared.get("default", ""))
        state = self._run_all(action["runs"]["steps"], Steps({"inputs": inputs}), folder)
        return not state.failed, {name: state.text(output["value"]) for name, output in action["outputs"].items()}

    def _run_script(self, step: dict[str, Any], state: Steps, action: Path | None) -> tuple[bool, dict[str, str]]:
        assert "${{" not in step["run"], "a value in a script is code: pass it in `env`"
        output = self.scratch / "output"
        output.write_text("")
        environment = {
            **self.environment,
            "PATH": os.environ["PATH"],
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(self.scratch / "summary"),
            "GITHUB_ACTION_PATH": str(action),
            **{name: state.text(value) for name, value in step.get("env", {}).items()},
        }
        result = subprocess.run(
            [*SHELLS[step.get("shell")], "-c", step["run"]], cwd=self.workspace, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
        )  # fmt: skip
        self.log += result.stdout
        if result.returncode:
            self.log += f"exit code {result.returncode}\n"
        return result.returncode == 0, dict(line.split("=", 1) for line in output.read_text().splitlines())
