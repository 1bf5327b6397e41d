"""The configuration and the program of docs/agents.md."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from service.agents.endpoint import AGENTS_PATH
from service.agents.tools import TOOLS

PAGE = (Path(__file__).parents[3] / "docs" / "agents.md").read_text()


def test_the_program_runs(stack, uploaded):
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    environment = {**os.environ, "QUANTD_API_KEY": "none", "MODEL": uploaded["model"]}
    command = [sys.executable, "-c", program.replace("http://127.0.0.1:8000", stack.url)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    assert "'bytes_after': " in result.stdout


def test_the_configuration_and_the_table_name_the_endpoint_and_its_tools():
    (configuration,) = re.findall(r"```json\n(.*?)```", PAGE, re.S)
    (server,) = json.loads(configuration)["mcpServers"].values()
    assert (server["type"], urlsplit(server["url"]).path) == ("http", AGENTS_PATH)
    rows = re.findall(r"^\| `(\w+)` .*\| `(\w+)` \|$", PAGE, re.M)
    assert rows == [(tool.name, tool.scope) for tool in TOOLS.values()]
