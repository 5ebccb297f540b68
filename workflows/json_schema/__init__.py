"""Schemas of action data: what we accept, its one normal form, and data held against it."""

from workflows.json_schema.checking import check_data, check_edit, check_locked, validator
from workflows.json_schema.normal import normalise

__all__ = ("check_data", "check_edit", "check_locked", "normalise", "validator")
