"""Forms drawn by the server from a schema and data, read back into exactly typed data.

`build` → plain dataclasses for templates; `parse` → data; `tree` → data without a schema, tidy.
Invariant: a form posted as it was drawn gives back the very data it was drawn from.
"""

from workflows.forms.drawing import build
from workflows.forms.model import ArrayField, Choice, Field, Form, Group
from workflows.forms.reading import parse
from workflows.forms.tree import Row, Tree, tree

__all__ = (
    "ArrayField",
    "Choice",
    "Field",
    "Form",
    "Group",
    "Row",
    "Tree",
    "build",
    "parse",
    "tree",
)
