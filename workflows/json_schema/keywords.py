"""What a schema may say: the allow-list and its limits, as data.

Left out on purpose: whatever reaches outside the document or into itself (`$id`, `$dynamicRef`),
whatever runs patterns over keys (`patternProperties`, `propertyNames`), and whatever no form can
show (`if`, `not`, `dependentSchemas`, `prefixItems`, `contains`, `writeOnly`).
"""

MAX_BYTES = 65_536
MAX_DEPTH = 12
MAX_FIELDS = 200
MAX_OPTIONS = 1000
# Sub-schemas of every kind: stops a few lines of `$ref` from unfolding into millions.
MAX_NODES = 600
MAX_ALTERNATIVES = 20
MAX_TITLE = 200
MAX_DESCRIPTION = 2000
MAX_ERRORS = 20

KEPT = frozenset(
    {
        "title", "description", "default", "readOnly",
        "type", "enum", "const", "format",
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
        "minLength", "maxLength", "pattern",
        "minItems", "maxItems", "uniqueItems",
        "required", "minProperties", "maxProperties",
        "x-widget", "x-labels",
    }
)  # fmt: skip
NESTED = frozenset({"properties", "additionalProperties", "items", "anyOf", "oneOf", "x-order"})
RESOLVED = frozenset({"$ref", "allOf"})
# Say nothing that a form or a check needs. Foreign `x-` keywords are dropped in the same way: the
# specification calls unknown keywords annotations, and tools leave theirs behind.
DROPPED = frozenset({"$schema", "$comment", "$defs", "definitions", "examples", "deprecated"})
SUPPORTED = KEPT | NESTED | RESOLVED | DROPPED
ANNOTATIONS = frozenset({"title", "description", "default", "readOnly", "x-widget"})

# Drafts that mean the same as 2020-12 within the allow-list.
DIALECTS = frozenset(
    {
        "https://json-schema.org/draft/2020-12/schema",
        "https://json-schema.org/draft/2019-09/schema",
        "http://json-schema.org/draft-07/schema",
    }
)

# How a field is drawn. Those named like a format are accepted because form libraries say them;
# the format decides.
WIDGETS = frozenset(
    {
        "text", "textarea", "select", "radio", "checkbox", "json",
        "number", "date", "time", "datetime", "email", "url",
    }
)  # fmt: skip
FORMAT_ALIASES = {"url": "uri", "datetime": "date-time"}
