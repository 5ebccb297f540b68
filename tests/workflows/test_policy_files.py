"""Policies and rules from files and to files: the same document, nothing twice, lines in faults."""

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from hitl.accounts.models import Role, Team, User
from hitl.lib.errors import Conflict, InvalidInput
from tests.workflows.policy_samples import finance_then_cfo, group, member, one_approver
from workflows import policy_books, policy_files
from workflows.models import Policy, PolicyVersion, RuleSet
from workflows.policies import format as policy_format

pytestmark = pytest.mark.django_db

FILE = """\
policies:
  - name: Large refunds
    timeout: 1d
    stages:
      - name: Finance
        need: 2 of group finance
        remind: [1h]
        escalate:
          - {after: 4h, to: person dora@example.com}
        on_timeout: reject
      - name: CFO
        when: data.amount > 10000
        need: person cleo@example.com
        remind: [1h]
        escalate:
          - {after: 4h, to: person dora@example.com}
        on_timeout: reject
"""
RULES = """\
rules:
  - name: Nothing large
    when: data.amount > 1000000
    then: deny
  - name: Large
    when: data.amount > 1000
    then: ask
    policy: Large refunds
"""


@pytest.fixture
def cfo(team: Team) -> User:
    return member(team, "Cleo Chief", Role.MANAGER)


@pytest.fixture
def deputy(team: Team) -> User:
    return member(team, "Dora Deputy")


@pytest.fixture
def finance(team: Team, cfo: User, deputy: User, approver: User) -> Team:
    group(team, "Finance", cfo, approver)
    return team


def names(steps: list[policy_files.Step]) -> list[tuple[str, str]]:
    return [(step.what, step.name) for step in steps]


def run(name: str, *args: str, **options: Any) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command(name, *args, stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


def test_file_says_what_the_criterion_says(finance: Team, cfo: User, deputy: User) -> None:
    assert names(policy_files.take_over(finance, FILE)) == [("new", "Large refunds")]
    expected = policy_format.normalise(finance_then_cfo(cfo, deputy))
    assert Policy.objects.get().document == expected


def test_second_time_nothing_changes(finance: Team) -> None:
    policy_files.take_over(finance, FILE + RULES)
    again = policy_files.take_over(finance, FILE + RULES)
    assert names(again) == [("same", "Large refunds"), ("same", "rules")]
    assert (PolicyVersion.objects.count(), RuleSet.objects.count()) == (1, 1)


def test_what_is_written_is_read_as_the_same(finance: Team) -> None:
    policy_files.take_over(finance, FILE + RULES)
    text = policy_files.export(finance)
    assert "2 of group finance" in text
    assert "person dora@example.com" in text
    assert {what for what, _ in names(policy_files.take_over(finance, text))} == {"same"}
    assert policy_files.export(finance) == text


def test_trying_saves_nothing(finance: Team) -> None:
    steps = policy_files.take_over(finance, FILE + RULES, dry_run=True)
    assert names(steps) == [("new", "Large refunds"), ("changed", "rules")]
    assert not Policy.objects.exists()
    assert not RuleSet.objects.exists()


def test_changed_file_makes_a_version(finance: Team) -> None:
    policy_files.take_over(finance, FILE)
    steps = policy_files.take_over(finance, FILE.replace("timeout: 1d", "timeout: 2d"))
    assert names(steps) == [("changed", "Large refunds")]
    assert Policy.objects.get().version == 2


def test_pruning_archives_the_others(finance: Team, manager: User) -> None:
    policy_books.save_policy(finance, one_approver("Old"), by=manager)
    assert names(policy_files.take_over(finance, FILE)) == [("new", "Large refunds")]
    pruned = policy_files.take_over(finance, FILE, prune=True)
    assert names(pruned) == [("same", "Large refunds"), ("same", "rules"), ("archived", "Old")]
    assert policy_books.active_names(finance) == ["Large refunds"]


def test_archived_policy_of_a_file_comes_back(finance: Team, manager: User) -> None:
    policy_files.take_over(finance, FILE)
    policy_books.archive(finance, Policy.objects.get().pk, by=manager)
    assert names(policy_files.take_over(finance, FILE)) == [("back in use", "Large refunds")]


def test_nothing_is_saved_where_pruning_is_refused(finance: Team, manager: User) -> None:
    old = policy_books.save_policy(finance, one_approver("Old"), by=manager)
    policy_books.make_default(finance, old.pk, by=manager)
    with pytest.raises(Conflict, match="its default"):
        policy_files.take_over(finance, FILE, prune=True)
    assert policy_books.active_names(finance) == ["Old"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("group finance", "group finanse"), "Line 6: There is no group 'finanse'"),
        (("cleo@example.com", "chloe@example.com"), "Line 13: Nobody in the team is called"),
        (("remind: [1h]", "remind: [1 hr]"), "Line 7: Write a duration"),
        (("on_timeout: reject", "on_timeout: rejected"), "Line 10: "),
        (("data.amount > 10000", "amount > 10000"), "Line 12: "),
        (("timeout: 1d", "timeout: 90d"), "Line 3: "),
        (("policy: Large refunds", "policy: Refunds"), "Line 25: "),
    ],
)
def test_faults_name_their_line(finance: Team, change: tuple[str, str], said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        policy_files.take_over(finance, (FILE + RULES).replace(*change))
    assert any(line.startswith(said) for line in policy_files.sentences(caught.value))
    assert not Policy.objects.exists()


def test_rule_without_any_policy_is_refused(team: Team) -> None:
    with pytest.raises(InvalidInput, match="no policy yet"):
        policy_files.take_over(team, RULES)


def test_same_name_twice_is_refused(finance: Team) -> None:
    text = FILE + "\n".join(FILE.split("\n")[1:])
    with pytest.raises(InvalidInput, match="two policies called"):
        policy_files.take_over(finance, text)


def test_documented_files_are_read(finance: Team, cfo: User, deputy: User) -> None:
    """docs/policies.md shows the criterion's policy, and rules that name it."""
    text = Path("docs/policies.md").read_text(encoding="utf-8")
    blocks = [part.split("```")[0] for part in text.split("```yaml\n")[1:]]
    files = [
        block.replace("cfo@example.com", cfo.email).replace("deputy@example.com", deputy.email)
        for block in blocks
    ]
    policy_files.take_over(finance, files[0])
    expected = policy_format.normalise(finance_then_cfo(cfo, deputy))
    assert Policy.objects.get().document == expected
    policy_files.take_over(finance, files[1])
    assert [rule["then"] for rule in policy_books.rules_of(finance).rules] == ["approve", "ask"]


class TestCommands:
    def test_there_and_back(self, finance: Team, tmp_path: Path) -> None:
        file = tmp_path / "policies.yaml"
        file.write_text(FILE + RULES)
        out, err = run("import_policies", str(file), team="payments")
        assert out == "new         Large refunds\nchanged     rules\n"
        assert "Saved in Payments." in err
        copy = tmp_path / "copy.yaml"
        run("export_policies", str(copy), team="payments")
        assert copy.read_text() == run("export_policies", team="payments")[0]
        out, err = run("import_policies", str(copy), team="payments", dry_run=True)
        assert out == "same        Large refunds\nsame        rules\n"
        assert "Nothing was saved." in err

    def test_faults_are_told_with_their_lines(self, finance: Team, tmp_path: Path) -> None:
        file = tmp_path / "policies.yaml"
        file.write_text(FILE.replace("group finance", "group legal").replace("cleo", "carlotta"))
        with pytest.raises(CommandError, match="Line 13: Nobody"):
            run("import_policies", str(file), team="payments")

    def test_what_cannot_be_read_is_said(self, team: Team, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="cannot be read"):
            run("import_policies", str(tmp_path / "absent.yaml"), team="payments")
        (tmp_path / "bytes").write_bytes(b"\xff\xfe")
        with pytest.raises(CommandError, match="not UTF-8"):
            run("import_policies", str(tmp_path / "bytes"), team="payments")
        with pytest.raises(CommandError, match="cannot be written"):
            run("export_policies", str(tmp_path / "no" / "folder"), team="payments")
        with pytest.raises(CommandError, match="There is no team 'paymnts'"):
            run("export_policies", team="paymnts")
