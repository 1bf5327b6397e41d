"""The MCP server: it lists the tools and calls them on behalf of a request's caller."""

import json
from typing import Any

import structlog
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from service.agents.brief_schema import brief_schema
from service.agents.tools import TOOLS, AgentTool, call_tool
from service.capabilities import quantd_version
from service.context import get_context
from service.problems import FAILURES, describe_failure

INSTRUCTIONS = """quantd quantizes neural networks (ONNX, TorchScript) after training.

Files are fetched from locations that the operator allows, such as `s3://bucket/model.onnx`, or uploaded over HTTP, on
the host and with the API key of this endpoint; the answer has the `id` to name here:
`curl --data-binary @model.onnx -H "Authorization: Bearer $QUANTD_API_KEY" $QUANTD_URL/v1/models`, and
`/v1/datasets` for calibration and evaluation data (.npz). Then `plan` tells in seconds what a spec would do, `quantize`
submits the job, `get_job` waits for its end, `get_report` names the loss, the worst layers and what to change, and
`compare` tells which of two jobs is better. The `links` of a job lead to its artifacts. A failed call has a problem
with a stable `code` and, for each fault, the JSON `pointer` to the argument."""

log = structlog.get_logger()


def _listed(tool: AgentTool) -> Tool:
    hints = ToolAnnotations(read_only_hint=tool.reads_only, destructive_hint=False, open_world_hint=False)
    return Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=brief_schema(tool.arguments),
        annotations=hints,
    )


_LISTED = {name: _listed(tool) for name, tool in TOOLS.items()}


async def _list_tools(_: Any, __: PaginatedRequestParams | None) -> ListToolsResult:
    return ListToolsResult(tools=list(_LISTED.values()))


async def _call_tool(ctx: Any, params: CallToolRequestParams) -> CallToolResult:
    """Call a tool; the result of a call that fails is the problem that the API would answer with.

    Raises:
        MCPError: there is no such tool.
    """
    request: Request = ctx.request
    context = get_context(request, None)
    tool = TOOLS.get(params.name)
    if tool is None:
        raise MCPError(INVALID_PARAMS, f"unknown tool {params.name[:80]!r}; accepted: {', '.join(TOOLS)}")
    state = request.scope["state"]
    state["tool"], state["reads_only"] = tool.name, tool.reads_only
    bound = log.bind(tool=tool.name, tenant=context.tenant, key=context.caller.key_id, request=context.request_id)
    try:
        answer, code = await call_tool(context, tool, params.arguments or {}), None
    except FAILURES as error:
        problem = await describe_failure(request, error)
        answer, code, state["status"] = problem.model_dump(mode="json"), problem.code, problem.status
    except Exception as error:
        bound.error("unexpected", exc_info=error)
        raise
    bound.info("tool called", code=code)
    content = TextContent(text=json.dumps(answer, ensure_ascii=False, separators=(",", ":")))
    return CallToolResult(content=[content], structured_content=answer, is_error=code is not None)


_SERVER = Server(
    "quantd",
    version=quantd_version(),
    instructions=INSTRUCTIONS,
    on_list_tools=_list_tools,
    on_call_tool=_call_tool,
    get_tool_input_schema=lambda name: _LISTED[name].input_schema if name in _LISTED else None,
)


async def answer_message(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one message with JSON; `service.guard` has checked the key, the host and the origin."""
    body: Message | None = {"type": "http.request", "body": await Request(scope, receive).body()}
    scope["state"]["reads_only"] = True  # for the audit log, unless a tool is called that changes something

    async def receive_again() -> Message:
        nonlocal body
        message, body = body, None
        return message or await receive()

    manager = StreamableHTTPSessionManager(_SERVER, json_response=True, stateless=True)
    async with manager.run():  # for one request: a manager has no state but its running requests
        await manager.handle_request(scope, receive_again, send)
