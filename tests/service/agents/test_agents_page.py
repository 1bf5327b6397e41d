"""The configuration of docs/agents.md; `test_page_blocks.py` runs its program."""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

from service.agents.endpoint import AGENTS_PATH
from service.agents.tools import TOOLS

PAGE = (Path(__file__).parents[3] / "docs" / "agents.md").read_text()


def test_the_configuration_and_the_table_name_the_endpoint_and_its_tools():
    (configuration,) = re.findall(r"```json\n(.*?)```", PAGE, re.S)
    (server,) = json.loads(configuration)["mcpServers"].values()
    assert (server["type"], urlsplit(server["url"]).path) == ("http", AGENTS_PATH)
    rows = re.findall(r"^\| `(\w+)` .*\| `(\w+)` \|$", PAGE, re.M)
    assert rows == [(tool.name, tool.scope) for tool in TOOLS.values()]
