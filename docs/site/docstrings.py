"""Docstrings of Keras layers: what `call` takes stands under `Call arguments`, and is shown as a list, too."""

import griffe


class CallArguments(griffe.Extension):
    """Turn `Call arguments` into a section that mkdocstrings knows, under the same title."""

    def on_object(self, *, obj, **kwargs):
        if obj.docstring:
            obj.docstring.value = obj.docstring.value.replace("Call arguments:\n", "Other Parameters: Call arguments\n")
