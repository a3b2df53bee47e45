"""The commands, one a module: `add` is quick, `run` imports what it takes to do the work."""

TOKEN = "The token is that of `hf auth login`, or HF_TOKEN."
