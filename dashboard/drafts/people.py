"""Who is asked and how many, as the form shows it: one select, with fields for what it leaves open.

Needs that are nested deeper than a form can show are edited as YAML.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dashboard.drafts.nodes import Node, Written
from dashboard.drafts.posts import Posted, below, rows, text, texts
from hitl.lib import pointer

TEAM, OWNER, SEVERAL, EXPRESSION = "team", "owner", "users", "expression"
ALL, ANY = "all", "any"
_WORDS = {ALL: "allOf", ANY: "anyOf"}


@dataclass
class Who(Node):
    """Whom a place means. `choice` is `team`, `owner`, `group:finance`, `role:manager`,
    `user:<id>`, `users` (then `users` names several) or `expression`; empty: not chosen yet."""

    choice: str = ""
    users: list[str] = field(default_factory=list)
    expression: str = ""
    label: str = ""

    @classmethod
    def read(cls, posted: Posted) -> "Who":
        return cls(
            text(posted, "choice"),
            texts(posted, "users"),
            text(posted, "expression"),
            text(posted, "label"),
        )

    @classmethod
    def of(cls, who: Mapping[str, Any]) -> "Who":
        users = [str(user) for user in who.get("users", ())]
        label = str(who.get("label", ""))
        if "team" in who:
            return cls(TEAM)
        if "agentOwner" in who:
            return cls(OWNER)
        if "group" in who:
            return cls(f"group:{who['group']}")
        if "roles" in who:
            return cls(f"role:{who['roles'][0]}")
        if "expression" in who:
            return cls(EXPRESSION, expression=str(who["expression"]), label=label)
        return cls(f"user:{users[0]}" if len(users) == 1 else SEVERAL, users)

    @property
    def one(self) -> str:
        """The id of the only person it means, or empty."""
        kind, _, rest = self.choice.partition(":")
        return rest if kind == "user" else ""

    def write(self, place: str, written: Written) -> dict[str, Any]:
        """The data of it."""
        written.note(place, self, "choice")
        kind, _, rest = self.choice.partition(":")
        match kind:
            case "team":
                return {"team": "approvers"}
            case "owner":
                return {"agentOwner": True}
            case "group":
                return {"group": rest}
            case "role":
                return {"roles": [rest]}
            case "user":
                return {"users": [rest]}
            case "users":
                written.note(pointer.join(place, "users"), self, "users")
                return {"users": self.users}
            case "expression":
                written.note(pointer.join(place, "expression"), self, "expression")
                written.note(pointer.join(place, "label"), self, "label")
                said = {"label": self.label} if self.label else {}
                return {"expression": self.expression, **said}
        written.fault(place, "Choose who is asked.")
        return {"team": "approvers"}


@dataclass
class Place(Node):
    """So many of these people."""

    who: Who = field(default_factory=Who)
    count: str = "1"

    @classmethod
    def read(cls, posted: Posted) -> "Place":
        return cls(Who.read(below(posted, "who")), text(posted, "count", "1"))

    def write(self, place: str, written: Written) -> dict[str, Any]:
        written.note(place, self, "count")
        who = self.who.write(pointer.join(place, "who"), written)
        return {"who": who, "count": count(self.count, self.who)}


@dataclass
class Block(Node):
    """Places of which all or any are wanted; mostly there is only one."""

    join: str = ANY
    places: list[Place] = field(default_factory=list)

    @classmethod
    def read(cls, posted: Posted) -> "Block":
        found = [Place.read(row) for row in rows(posted, "places")]
        return cls(_join(posted, ANY), found or [Place()])


@dataclass
class Need(Node):
    """Blocks of which all or any are wanted: one level of nesting."""

    join: str = ALL
    blocks: list[Block] = field(default_factory=list)

    @classmethod
    def read(cls, posted: Posted) -> "Need":
        found = [Block.read(row) for row in rows(posted, "blocks")]
        return cls(_join(posted, ALL), found or [Block(places=[Place()])])

    @classmethod
    def of(cls, need: Mapping[str, Any]) -> "Need":
        """Of stored data, as far as it can be shown: what is nested deeper comes out otherwise."""
        join, parts = _branch(need)
        return cls(join or ALL, [_block(part) for part in parts])

    def write(self, place: str, written: Written) -> dict[str, Any]:
        if len(self.blocks) == 1:
            return self._block(self.blocks[0], place, written)
        word = _WORDS[self.join]
        return {
            word: [
                self._block(block, pointer.join(place, word, number), written)
                for number, block in enumerate(self.blocks)
            ]
        }

    def _block(self, block: Block, place: str, written: Written) -> dict[str, Any]:
        if len(block.places) == 1:
            return block.places[0].write(place, written)
        word = _WORDS[block.join]
        return {
            word: [
                each.write(pointer.join(place, word, number), written)
                for number, each in enumerate(block.places)
            ]
        }


def count(typed: str, who: Who) -> Any:
    """The number, or the text for the format to complain about. One person is always one."""
    if who.one:
        return 1
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 6 else typed


def _join(posted: Posted, default: str) -> str:
    given = text(posted, "join", default)
    return given if given in _WORDS else default


def _branch(need: Mapping[str, Any]) -> tuple[str, list[Any]]:
    for join, word in _WORDS.items():
        if word in need:
            return join, list(need[word])
    return "", [need]


def _block(need: Mapping[str, Any]) -> Block:
    join, parts = _branch(need)
    places = [
        Place(Who.of(part["who"]), str(part.get("count", 1))) for part in parts if "who" in part
    ]
    return Block(join or ANY, places)
