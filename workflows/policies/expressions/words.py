"""What the CEL runtime reports, said so that whoever wrote the expression can mend it."""

import difflib
import re
from collections.abc import Collection

_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_UNDECLARED = re.compile(r"undeclared reference to '([^']+)'")
_NO_OVERLOAD = re.compile(r"no matching overload for '([^']+)' applied to '\((.*)\)'")
_NO_OVERLOAD_NOW = re.compile(r"No matching overloads found : (?:\((\w+)\)\.)?(\S+?)\((.*)\)$")
_NO_KEY = re.compile(r'Key not found in map : "?(.*?)"?$')
_UNEXPECTED = re.compile(r"(?:mismatched|extraneous) input '(.*?)' expecting|at: '(.*?)'")
_CODE = re.compile(r"^[A-Z_]+: |( \[[A-Z_]+\])$")

_TYPES = {
    "int": "a whole number", "int64": "a whole number", "uint": "a whole number",
    "double": "a number", "string": "text", "bool": "true or false", "null": "nothing (null)",
    "null_type": "nothing (null)", "dyn": "anything", "list": "a list", "map": "an object",
    "timestamp": "a time", "duration": "a duration",
}  # fmt: skip
_HINTS = {
    "and": "Write && for and.",
    "or": "Write || for or.",
    "not": "Write ! for not.",
    "=": "Write == to compare.",
    "=>": "Write >= to compare.",
    "=<": "Write <= to compare.",
    ",": "Write large numbers without commas, like 10000.",
    "is": "Write == to compare.",
    "<EOF>": "Something is missing at the end.",
}
_MACROS = frozenset({"all", "exists", "exists_one", "map", "filter"})
_FUNCTIONS = ("has", "size", "contains", "startsWith", "endsWith", "matches", *sorted(_MACROS))
_ARITHMETIC = frozenset("+-*/%")


def of_compiling(report: str, text: str, names: Collection[str]) -> str:
    """One sentence or two for a text that cannot be compiled; `names` may be used in it."""
    if "recursion" in report:
        return "The expression is nested too deeply, or chains too many parts."
    faults = list(_ERROR.finditer(report))
    macros = [fault for fault in faults if _macro(fault[3])]
    for fault in macros or faults:
        what = _compile_fault(fault[3], _calls(text, fault), names)
        return f"At character {fault[2]}: {what}" if fault[1] == "1" else what
    return _cleaned(report)


def _macro(fault: str) -> bool:
    unknown = _UNDECLARED.search(fault)
    return unknown is not None and unknown[1] in _MACROS


def _calls(text: str, fault: re.Match[str]) -> bool:
    """Whether the fault is reported at the parenthesis of a call."""
    line = text.split("\n")[int(fault[1]) - 1 :][:1]
    return line != [] and line[0][int(fault[2]) - 1 :].startswith("(")


def _compile_fault(fault: str, calls: bool, names: Collection[str]) -> str:
    if unknown := _UNDECLARED.search(fault):
        return _no_function(unknown[1]) if calls else of_unknown(unknown[1], names)
    if overload := _NO_OVERLOAD.search(fault):
        return _unfit(overload[1], overload[2])
    if unexpected := _UNEXPECTED.search(fault):
        token = (unexpected[1] or unexpected[2] or "").strip()
        return _HINTS.get(token, f"{token!r} is not expected here.")
    fault = fault.replace("Syntax error: ", "").replace("'<EOF>'", "the end")
    return fault[:1].upper() + fault[1:].removesuffix(".") + "."


def _no_function(name: str) -> str:
    if name in _MACROS:
        return f"{name} takes a name and a condition, like list.{name}(x, x > 1)."
    return f"There is no function {name!r}. There are {', '.join(_FUNCTIONS)}."


def of_unknown(name: str, names: Collection[str]) -> str:
    """The sentence for a name that is not there, among those that are."""
    near = difflib.get_close_matches(name.split(".")[0], names, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"{name!r} is not known here.{hint} Known are {', '.join(names)}."


def of_evaluating(report: str) -> str:
    """One sentence or two for an expression that failed on the values at hand."""
    text = _cleaned(report)
    if missing := _NO_KEY.search(text):
        return f"There is no {missing[1]!r}. Ask first with has(…)."
    if overload := _NO_OVERLOAD_NOW.search(text):
        return _unfit(overload[2], ", ".join(filter(None, (overload[1], overload[3]))))
    if "Iteration budget" in text:
        return "The expression runs over too many elements."
    if "SELECT" in text:
        return "A field is asked of something that has no fields."
    if "No matching overloads" in text:
        return "A part of the expression has a value that does not fit its place."
    return text[:1].upper() + text[1:].removesuffix(".") + "."


def _unfit(function: str, types: str) -> str:
    sign = (
        function.strip("_").replace("_", "") if function.startswith(("_", "!", "-")) else function
    )
    sign = {"@in": "in", "?:": "? :"}.get(sign, sign)
    kinds = [part.split("(")[0].split("<")[0].strip() for part in types.split(", ")]
    said = " and ".join(_TYPES.get(kind, kind) for kind in kinds if kind)
    if sign in _ARITHMETIC and {"double"} < set(kinds) <= {"double", "int", "int64"}:
        return f"Numbers in the data have a point: write 2.0, not 2, beside {sign!r}."
    return f"{sign!r} cannot be used on {said}."


def _cleaned(report: str) -> str:
    first = report.split("\n")[0]
    return _CODE.sub("", first).removeprefix("ERROR: ").strip() or "It cannot be read."
