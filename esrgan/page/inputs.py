"""What a visitor or a program may send: files that were uploaded, in the shape that Gradio gives them."""

from typing import Any

import gradio as gr
from gradio import mcp
from gradio.state_holder import SessionState
from starlette.middleware import Middleware

from .assistants import Server
from .failures import failure, refusing
from .fetching import fetch
from .limits import MOST_PHOTOS
from .listeners import StreamCounter
from .preview import LinkPreview
from .uploads import let_in

META = {"_type": "gradio.FileData"}
SHAPE = 'is sent as {"path": …, "meta": {"_type": "gradio.FileData"}}, with the path that its upload was answered with'


class Page(gr.Blocks):
    """Blocks whose functions get only files that `let_in` has let in, and know whether anybody listens."""

    def launch(self, **options: Any) -> Any:
        """Serve it; options as of Gradio's."""
        mcp.GradioMCPServer = Server  # of which `launch` makes one
        middleware = [Middleware(StreamCounter), Middleware(LinkPreview, title=self.title)]
        return super().launch(app_kwargs={"middleware": middleware}, **options)

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: SessionState | None, explicit_call: bool = False
    ) -> Any:
        """Check what was sent, in place of Gradio, which takes any path without `meta` and answers with tracebacks.

        What is left out at the end is as the page has it at first.
        """
        components = block_fn.inputs
        inputs = inputs + [component.value for component in components[len(inputs) :] if component.value is not None]
        if len(inputs) != len(components):
            asked = ", ".join(component.label.lower() for component in components if component.label)
            raise failure(f"{len(inputs)} values were sent where {len(components)} are expected ({asked}).")
        checked = [await check(component, value) for component, value in zip(components, inputs, strict=True)]
        return await super().preprocess_data(block_fn, checked, state, explicit_call)


async def check(component: Any, value: Any) -> Any:
    """The value as the component's functions may have it: of a file, nothing but the path where it really is.

    Raises:
        gr.Error: it has another shape, or a file is not let in.
    """
    if isinstance(component, gr.Markdown | gr.Textbox) and not isinstance(value, str):
        raise failure(f"{component.label or 'Text'} {value!r:.60}: must be text.")
    if isinstance(component, gr.Checkbox) and not isinstance(value, bool):
        raise failure(f"{component.label} {value!r:.60}: must be true or false.")
    if isinstance(component, gr.Radio) and value not in (names := [name for _, name in component.choices]):
        raise failure(f"{component.label} {value!r:.60}: must be one of {', '.join(names)}.")
    if isinstance(component, gr.CheckboxGroup):
        names = [name for _, name in component.choices]
        if not (isinstance(value, list) and all(name in names for name in value)):
            raise failure(f"{component.label} {value!r:.60}: must be a list of {', '.join(names)}.")
    if isinstance(component, gr.Dataset) and not (isinstance(value, int) and 0 <= value < len(component.samples)):
        raise failure(f"Example {value!r:.60}: must be one of the {len(component.samples)} numbers from 0.")
    if not isinstance(component, gr.Image | gr.File) or value is None:
        return value
    if isinstance(component, gr.File):
        if not isinstance(value, list):
            raise failure(f"{value!r:.60}: must be a list of photos, each of which {SHAPE}.")
        if (count := sum(map(is_address, value))) > MOST_PHOTOS:
            raise failure(f"{count} web addresses: at most {MOST_PHOTOS} are fetched at once.")
        return [await check_file(item) for item in value]
    return await check_file(value)


async def check_file(value: Any) -> dict[str, Any]:
    """One file; errors as for `check`."""
    if not (isinstance(value, dict) and isinstance(path := value.get("path"), str) and path):
        raise failure(f"{value!r:.60}: is no photo, which {SHAPE}.")
    with refusing():
        found = await fetch(path) if is_address(value) else let_in(path)
    return {"path": str(found), "meta": META}


def is_address(value: Any) -> bool:
    """Whether a file is to be fetched from the web."""
    return isinstance(value, dict) and str(value.get("path")).startswith(("http://", "https://"))
