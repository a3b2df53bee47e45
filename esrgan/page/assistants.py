"""Answers to AI assistants, by the Model Context Protocol: pictures as images, figures as JSON."""

import json
from typing import Any

from gradio import mcp


class Server(mcp.GradioMCPServer):
    """Gradio's, but for figures, which that writes as Python does, and for those who do not ask for progress."""

    def postprocess_output_data(self, data: Any, root_url: str) -> list[Any]:
        """What a tool answers, from the values of an endpoint's outputs; without progress these come as one."""
        values = data[0] if len(data) == 1 and isinstance(data[0], list | tuple) else data
        readable = [json.dumps(value) if isinstance(value, dict) and "path" not in value else value for value in values]
        return super().postprocess_output_data(readable, root_url)
