"""From a file's words to policies and rules in normal form, with line numbers in every fault."""

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from hitl.lib import pointer
from hitl.lib.errors import FieldError, InvalidInput
from workflows.policies import format as policy_format
from workflows.policies import rules as rule_format
from workflows.policies.checks import MAX_ERRORS, near
from workflows.policies.yaml_io import short_forms
from workflows.policies.yaml_io.nodes import Fault, Node, parse

Read: TypeAlias = Callable[[Node, str], Any]
# A key of a file: the key of the format, and how its value is read.
Keys: TypeAlias = Mapping[str, tuple[str, Read]]


@dataclass(frozen=True)
class Document:
    """What a file holds, in normal form."""

    policies: list[dict[str, Any]] = field(default_factory=list)
    rules: list[dict[str, Any]] = field(default_factory=list)


def loads(
    text: str,
    *,
    now: dt.datetime,
    channels: Collection[str] | None = None,
    person: Callable[[str], str | None] | None = None,
    judge: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    policy_names: Collection[str] | None = None,
) -> Document:
    """The policies and rules of a file.

    `person` turns what a file calls somebody (an e-mail address) into their id, or None where
    there is nobody; without it names stay as they are. `judge` gives the normal form of a policy
    instead of `policies.format`, for somebody who knows more, like which groups there are.
    `policy_names` may be named by rules beside those of the file; None: any. Raises InvalidInput
    whose messages name the lines.
    """
    reader = _Reader(person)
    judge = judge or partial(policy_format.normalise, channels=channels)
    try:
        root = parse(text)
        data = reader.document(root)
    except Fault as fault:
        raise InvalidInput(str(fault), [FieldError("", str(fault))]) from None
    policies = [
        reader.judged(
            pointer.join("/policies", number),
            partial(judge, policy),
        )
        for number, policy in enumerate(data["policies"])
    ]
    names = None
    if policy_names is not None:
        given = [each.get("name") for each in data["policies"] if isinstance(each, dict)]
        names = [*policy_names, *filter(None, given)] or None
    rules = reader.judged(
        "/rules", partial(rule_format.normalise, data["rules"], now=now, policies=names)
    )
    if reader.errors:
        raise InvalidInput(reader.errors[0].message, reader.errors[:MAX_ERRORS])
    return Document(policies, rules)


class _Reader:
    """Renames keys and reads short forms, and remembers on which line everything stands."""

    def __init__(self, person: Callable[[str], str | None] | None) -> None:
        self.person = person
        self.lines: dict[str, int] = {"": 1}
        self.errors: list[FieldError] = []

    def document(self, root: Node) -> dict[str, list[Any]]:
        """The policies and rules of a file, as the formats want them."""
        if not isinstance(root.value, dict):
            raise Fault(root.line, "Write policies, rules, or one policy with its stages.")
        if "stages" in root.value:
            return {"policies": [self._policy(root, "/policies/0")], "rules": []}
        keys: Keys = {
            "policies": ("policies", self._list(self._policy)),
            "rules": ("rules", self._list(self._rule)),
        }
        found = self._mapping(root, "", keys)
        lists = {key: found.get(key, []) for key in keys}
        if not any(lists.values()) or not all(isinstance(each, list) for each in lists.values()):
            raise Fault(root.line, "Write a list of policies, of rules, or one policy.")
        return lists

    def judged(self, place: str, judge: Callable[[], Any]) -> Any:
        """What a format makes of it; its faults with their lines."""
        try:
            return judge()
        except InvalidInput as error:
            for fault in error.errors:
                at = place + fault.pointer
                self._fault(at, self._line(at), fault.message, fault.code)
        return None

    def _line(self, place: str) -> int:
        while place not in self.lines:
            place = place.rpartition("/")[0]
        return self.lines[place]

    def _fault(self, place: str, line: int, message: str, code: str = "invalid") -> None:
        self.errors.append(FieldError(place, f"Line {line}: {message}", code))

    def _mapping(self, node: Node, place: str, keys: Keys) -> Any:
        self.lines[place] = node.line
        if not isinstance(node.value, dict):
            raise Fault(node.line, f"Write it with the keys {', '.join(keys)}.")
        found = {}
        for key, part in node.value.items():
            if key not in keys:
                message = f"{key!r} is not known here.{near(key, keys)}"
                self._fault(place, node.key_lines[key], message)
                continue
            name, read = keys[key]
            at = pointer.join(place, name)
            self.lines[at] = node.key_lines[key]
            if part.value is not None:
                found[name] = read(part, at)
        return found

    def _plain(self, node: Node, place: str) -> Any:
        """A value as it is."""
        self.lines.setdefault(place, node.line)
        if isinstance(node.value, dict):
            return {k: self._plain(v, pointer.join(place, k)) for k, v in node.value.items()}
        if isinstance(node.value, list):
            return [self._plain(v, pointer.join(place, n)) for n, v in enumerate(node.value)]
        return node.value

    def _list(self, read: Read) -> Read:
        def read_list(node: Node, place: str) -> Any:
            if not isinstance(node.value, list):
                return self._plain(node, place)
            return [read(part, pointer.join(place, n)) for n, part in enumerate(node.value)]

        return read_list

    def _short(self, read: Callable[[Any], Any]) -> Read:
        """A short form; what is wrong with it is a fault of its line."""

        def read_short(node: Node, place: str) -> Any:
            self.lines.setdefault(place, node.line)
            try:
                return read(node.plain)
            except ValueError as error:
                raise Fault(node.line, str(error)) from None

        return read_short

    def _policy(self, node: Node, place: str) -> Any:
        same = {key: (key, self._plain) for key in ("format", "name", "calendar")}
        keys: Keys = same | {
            "timeout": ("timeoutSeconds", self._short(short_forms.duration)),
            "allow_owner": ("allowOwner", self._plain),
            "allow_requester": ("allowRequester", self._plain),
            "allow_twice": ("allowTwice", self._plain),
            "different_people": ("differentPeople", self._plain),
            "stages": ("stages", self._list(self._stage)),
        }
        return self._mapping(node, place, keys)

    def _stage(self, node: Node, place: str) -> Any:
        same = {key: (key, self._plain) for key in ("name", "when", "channels")}
        keys: Keys = same | {
            "need": ("need", self._need),
            "on_reject": ("onReject", self._plain),
            "min_people": ("minPeople", self._plain),
            "allow_edit": ("allowEdit", self._plain),
            "remind": ("reminders", self._list(self._reminder)),
            "escalate": ("escalation", self._list(self._step)),
            "step_up": ("stepUp", self._plain),
            "on_timeout": ("timeoutAction", self._plain),
            "extend_max": ("extendMax", self._short(short_forms.duration)),
        }
        return self._mapping(node, place, keys)

    def _need(self, node: Node, place: str) -> Any:
        if isinstance(node.value, str):
            need = self._short(short_forms.need)(node, place)
            return need | {"who": self._known(need["who"], node.line)}
        given = node.value if isinstance(node.value, dict) else {}
        if "all_of" in given or "any_of" in given:
            parts = self._list(self._need)
            return self._mapping(
                node, place, {"all_of": ("allOf", parts), "any_of": ("anyOf", parts)}
            )
        if not given:
            return self._plain(node, place)
        people = {key: part for key, part in given.items() if key != "count"}
        who = self._who(Node(node.line, people, node.key_lines), pointer.join(place, "who"))
        if "count" not in given:
            return {"who": who}
        count = self._plain(given["count"], pointer.join(place, "count"))
        return {"who": who, "count": count}

    def _who(self, node: Node, place: str) -> Any:
        if isinstance(node.value, str):
            return self._known(self._short(short_forms.who)(node, place), node.line)
        same = {
            key: (key, self._plain)
            for key in ("team", "users", "roles", "group", "expression", "label")
        }
        who = self._mapping(node, place, same | {"agent_owner": ("agentOwner", self._plain)})
        return self._known(who, node.line)

    def _known(self, who: Any, line: int) -> Any:
        """The same with the ids of people; those nobody knows are a fault."""
        if (
            self.person is None
            or not isinstance(who, dict)
            or not isinstance(who.get("users"), list)
        ):
            return who
        ids = []
        for name in who["users"]:
            id_ = self.person(name) if isinstance(name, str) else None
            if id_ is None:
                raise Fault(line, f"Nobody in the team is called {name!r}.")
            ids.append(id_)
        return who | {"users": ids}

    def _reminder(self, node: Node, place: str) -> Any:
        if isinstance(node.value, str):
            return self._short(short_forms.reminder)(node, place)
        seconds = self._short(short_forms.duration)
        if isinstance(node.value, dict):
            keys = {"after": ("after", seconds), "before": ("before", seconds)}
            return self._mapping(node, place, keys)
        return self._plain(node, place)

    def _step(self, node: Node, place: str) -> Any:
        seconds = self._short(short_forms.duration)
        same = {key: (key, self._plain) for key in ("count", "mode", "repeat", "channels")}
        keys: Keys = same | {
            "after": ("after", seconds),
            "to": ("to", self._who),
            "every": ("every", seconds),
        }
        return self._mapping(node, place, keys)

    def _rule(self, node: Node, place: str) -> Any:
        names = ("name", "when", "then", "policy", "because", "until", "enabled")
        same = {key: (key, self._plain) for key in names}
        return self._mapping(node, place, same | {"budget": ("budget", self._budget)})

    def _budget(self, node: Node, place: str) -> Any:
        same = {key: (key, self._plain) for key in ("count", "of", "sum")}
        seconds = self._short(short_forms.duration)
        return self._mapping(node, place, same | {"per": ("per", seconds)})
