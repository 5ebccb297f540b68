"""A bundle is verified far from the server, and no line of it can be changed."""

import datetime as dt
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from events.models import Checkpoint
from events.proof import checkpoints, export
from events.proof.bundle import verify_bundle
from hitl.accounts.models import Agent, User
from hitl.lib import signing_keys
from hitl.lib.errors import NotFound
from hitl.lib.models import uuid7
from tests.dashboard.browser import logged_in
from tests.events.proof.tampering import cover, small_life, tamper
from tests.workflows.api.callers import WORKFLOWS, as_agent, as_user
from tests.workflows.factories import make_workflow
from workflows.api import proof_views
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

VERIFIER = export.OWN / "verify_bundle.py"


@pytest.fixture
def workflow(agent: Agent, approver: User) -> Workflow:
    return small_life(agent, approver)


@pytest.fixture
def bundle(workflow: Workflow) -> bytes:
    return exported(workflow)


def exported(workflow: Workflow) -> bytes:
    file = io.BytesIO()
    export.write_workflow(file, workflow.pk)
    return file.getvalue()


def run(folder: Path, raw: bytes, *arguments: str) -> tuple[int, str]:
    """The published verifier, alone in a folder with the bundle."""
    (folder / "verify_bundle.py").write_bytes(VERIFIER.read_bytes())
    (folder / "bundle.zip").write_bytes(raw)
    command = [sys.executable, "-I", "verify_bundle.py", "bundle.zip", *arguments]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={})
    assert not ended.stderr, ended.stderr
    return ended.returncode, ended.stdout


def unpacked(raw: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in files.items():
            archive.writestr(name, raw)
    return file.getvalue()


def test_a_bundle_is_good_on_its_own(bundle: bytes, tmp_path: Path) -> None:
    code, said = run(tmp_path, bundle)
    assert code == 0, said
    assert "GOOD: every event is as it was" in said
    assert "Looked at 4 events and 2 checkpoints" in said
    assert "NOT CHECKED: whose key" in said


def test_the_key_can_be_named(bundle: bytes, tmp_path: Path) -> None:
    kid = signing_keys.current().kid
    (tmp_path / "jwks.json").write_text(json.dumps(signing_keys.jwks()))
    for arguments in ([f"--trust={kid}"], ["--keys", "jwks.json"]):
        code, said = run(tmp_path, bundle, *arguments)
        assert code == 0, said
        assert "NOT CHECKED" not in said


def test_another_key_is_not_trusted(bundle: bytes, tmp_path: Path) -> None:
    code, said = run(tmp_path, bundle, "--trust", "someone-elses")
    assert code == 1
    assert "which is not trusted" in said


def problems(files: dict[str, bytes], kids: set[str] | None = None) -> list[str]:
    """What the verifier says; where it cannot read the bundle at all, that."""
    try:
        with zipfile.ZipFile(io.BytesIO(packed(files))) as archive:
            bundle = verify_bundle.Bundle(archive, kids or set())
            bundle.look()
    except verify_bundle.UNREADABLE as error:
        return [f"cannot be read: {error!r}"]
    return bundle.problems


# --- Whatever is changed in a bundle --------------------------------------------------------------


def test_each_line_of_each_file_is_guarded(bundle: bytes) -> None:
    """One character of each line, and each line left out or doubled."""
    files = unpacked(bundle)
    assert problems(files) == []
    for name, raw in files.items():
        lines = raw.splitlines(keepends=True)
        for place, line in enumerate(lines):
            middle = len(line) // 2
            other = line[:middle] + bytes([line[middle] ^ 1]) + line[middle + 1 :]
            for change in ([other], [], [line, line]):
                changed = b"".join([*lines[:place], *change, *lines[place + 1 :]])
                if changed != raw:
                    assert problems({**files, name: changed}), (name, place)


def test_each_file_is_needed_and_no_other_may_be_there(bundle: bytes) -> None:
    files = unpacked(bundle)
    for name in files:
        assert problems({key: raw for key, raw in files.items() if key != name}), name
    assert problems({**files, "more.txt": b""})


def test_a_changed_event_is_named(bundle: bytes, workflow: Workflow, tmp_path: Path) -> None:
    files = unpacked(bundle)
    files["events.jsonl"] = files["events.jsonl"].replace(b'"amount":120', b'"amount":121', 1)
    code, said = run(tmp_path, packed(files))
    assert code == 1
    assert f"NOT GOOD: event 1 of workflow {workflow.pk} was changed" in said
    assert "GOOD: every" not in said


def rehashed(files: dict[str, bytes]) -> dict[str, bytes]:
    """With a manifest that agrees with the files, as a forger would make it."""
    manifest = json.loads(files["manifest.json"])
    manifest["files"] = {n: hashlib.sha256(files[n]).hexdigest() for n in manifest["files"]}
    return {**files, "manifest.json": json.dumps(manifest).encode()}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda lines: lines[:-1], "event 4 of workflow {} is missing: checkpoint 2 knows it"),
        (lambda lines: lines[1:], "event 2 of workflow {} does not follow the one before it"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "event 1 of workflow {} does not follow"),
    ],
)
def test_removed_and_reordered_events_are_named(
    bundle: bytes, workflow: Workflow, spoil: Callable[[list[bytes]], list[bytes]], says: str
) -> None:
    files = unpacked(bundle)
    lines = files["events.jsonl"].splitlines(keepends=True)
    files["events.jsonl"] = b"".join(spoil(lines))
    found = problems(rehashed(files))
    assert any(says.format(workflow.pk) in each for each in found), found
    assert "manifest.json does not bear a good signature" in found


def test_events_without_their_checkpoint_are_named(bundle: bytes, workflow: Workflow) -> None:
    files = unpacked(bundle)
    first = files["checkpoints.jsonl"].splitlines(keepends=True)[0]
    found = problems(rehashed({**files, "checkpoints.jsonl": first}))
    assert f"event 4 of workflow {workflow.pk} is covered by no checkpoint" in found


def test_a_forgery_with_another_key_is_found_by_whoever_knows_the_key(
    workflow: Workflow, settings: Settings, tmp_path: Path
) -> None:
    honest = signing_keys.current().kid
    settings.SIGNING_KEYS = [signing_keys.generate()]
    tamper("DELETE FROM events_checkpointhead")
    tamper("DELETE FROM events_checkpoint")
    tamper("DELETE FROM events_checkpointchain")
    forged = exported(workflow)
    assert "NOT CHECKED: whose key" in run(tmp_path, forged)[1]
    code, said = run(tmp_path, forged, f"--trust={honest}")
    assert code == 1
    assert "which is not trusted" in said


def test_what_is_no_bundle_is_said_to_be_none(tmp_path: Path) -> None:
    for raw in (b"", b"no zip", packed({}), packed({"manifest.json": b"[]"})):
        code, said = run(tmp_path, raw)
        assert code == 1
        assert said.startswith("NOT GOOD: cannot be read")


# --- Its signatures, without a library ------------------------------------------------------------

RFC_8032 = [  # section 7.1: public key, message, signature
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
]


@pytest.mark.parametrize(("key", "message", "signature"), RFC_8032)
def test_signatures_of_the_standard_are_good(key: str, message: str, signature: str) -> None:
    values = [bytes.fromhex(each) for each in (key, signature, message)]
    assert verify_bundle.is_signed(*values)
    values[1] = bytes([values[1][0] ^ 1]) + values[1][1:]
    assert not verify_bundle.is_signed(*values)


@given(st.binary(max_size=40), st.integers(0, 63), st.integers(1, 255))
def test_signatures_are_judged_as_the_library_does(message: bytes, at: int, flip: int) -> None:
    key = Ed25519PrivateKey.generate()
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)
    assert verify_bundle.is_signed(public, signature, message)
    assert not verify_bundle.is_signed(public, signature, message + b"x")
    bad = bytes(each ^ (flip if place == at else 0) for place, each in enumerate(signature))
    assert not verify_bundle.is_signed(public, bad, message)


def test_a_signature_moved_by_the_groups_order_is_refused() -> None:
    """The same point, another number: RFC 8032, section 5.1.7, demands the smaller one."""
    key = Ed25519PrivateKey.generate()
    signature = key.sign(b"x")
    s = int.from_bytes(signature[32:], "little") + verify_bundle.ORDER
    other = signature[:32] + s.to_bytes(32, "little")
    assert not verify_bundle.is_signed(key.public_key().public_bytes_raw(), other, b"x")


# --- What is in it --------------------------------------------------------------------------------


def test_nothing_is_told_about_other_requests(workflow: Workflow, agent: Agent) -> None:
    other = make_workflow(agent)
    cover(other)
    raw = b"".join(unpacked(exported(workflow)).values()).decode()
    assert str(workflow.pk) in raw
    assert str(other.pk) not in raw
    assert '"streams"' not in raw


def test_a_checkpoint_is_made_only_for_what_is_news(workflow: Workflow, agent: Agent) -> None:
    before = Checkpoint.objects.count()
    exported(workflow)
    assert Checkpoint.objects.count() == before
    exported(make_workflow(agent))
    assert Checkpoint.objects.count() == before + 1


def test_a_changed_log_is_exported_as_it_is_and_found_out(workflow: Workflow) -> None:
    tamper("UPDATE events_event SET data = '{\"a\":1}' WHERE seq = 2")
    found = problems(unpacked(exported(workflow)))
    assert f"event 2 of workflow {workflow.pk} was changed" in found


def test_what_is_not_there_is_not_exported(db: None) -> None:
    with pytest.raises(NotFound):
        export.write_workflow(io.BytesIO(), uuid7())


def test_more_than_the_limit_is_refused(workflow: Workflow) -> None:
    with pytest.raises(export.TooLarge):
        export.write_workflow(io.BytesIO(), workflow.pk, limit=1000)


# --- A period -------------------------------------------------------------------------------------


@pytest.fixture
def period(db: None, agent: Agent, transactional_db: None) -> dict[str, bytes]:
    """Everything that moved in the last hour: two checkpoints, three requests."""
    for _ in range(2):
        make_workflow(agent)
    checkpoints.sweep()
    make_workflow(agent)
    file, now = io.BytesIO(), dt.datetime.now(dt.UTC)
    export.write_period(file, now - dt.timedelta(hours=1), now + dt.timedelta(hours=1))
    return unpacked(file.getvalue())


def test_a_period_is_whole(period: dict[str, bytes], tmp_path: Path) -> None:
    code, said = run(tmp_path, packed(period))
    assert code == 0, said
    assert "Looked at 3 events and 2 checkpoints (1, 2)" in said


@pytest.mark.parametrize("name", ["events.jsonl", "checkpoints.jsonl"])
def test_nothing_can_be_left_out_of_a_period(period: dict[str, bytes], name: str) -> None:
    lines = period[name].splitlines(keepends=True)
    for place in range(len(lines)):
        less = b"".join([*lines[:place], *lines[place + 1 :]])
        found = problems(rehashed({**period, name: less}))
        others = [each for each in found if "manifest" not in each]
        assert others, (name, place)


def test_a_period_without_checkpoints_is_an_error(db: None) -> None:
    now = dt.datetime.now(dt.UTC)
    with pytest.raises(NotFound):
        export.write_period(io.BytesIO(), now, now + dt.timedelta(hours=1))


# --- The ways to get one --------------------------------------------------------------------------


def test_the_command_writes_a_file_once(workflow: Workflow, tmp_path: Path) -> None:
    out = tmp_path / "export.zip"
    arguments = ["export_log", "--workflow", str(workflow.pk), "--out", str(out)]
    call_command(*arguments)
    assert problems(unpacked(out.read_bytes())) == []
    with pytest.raises(CommandError, match="is there already"):
        call_command(*arguments)


def test_the_command_leaves_no_file_behind_where_it_fails(db: None, tmp_path: Path) -> None:
    out = tmp_path / "export.zip"
    for which in (["--workflow", str(uuid7())], ["--from", "2999-01-01"]):
        with pytest.raises(CommandError):
            call_command("export_log", *which, "--out", str(out))
        assert not out.exists()


def test_agents_and_people_of_the_team_get_it(
    workflow: Workflow, agent: Agent, viewer: User, stranger: User
) -> None:
    path = f"{WORKFLOWS}/{workflow.pk}/export"
    for caller in (as_agent(agent), as_user(viewer)):
        answer = caller.get(path)
        assert answer.headers["Content-Type"] == "application/zip"
        assert f'filename="hitl-{workflow.pk}.zip"' in answer.headers["Content-Disposition"]
        assert problems(unpacked(answer.content)) == []
    assert as_user(stranger).get(path).status_code == 404


def test_the_page_has_it_too(workflow: Workflow, viewer: User, stranger: User) -> None:
    page = f"/workflows/{workflow.pk}/"
    assert f'href="{page}export/"' in logged_in(viewer).get(page).content.decode()
    answer = logged_in(viewer).get(f"{page}export/")
    assert problems(unpacked(answer.content)) == []
    assert logged_in(stranger).get(f"{page}export/").status_code == 404


def test_where_it_cannot_be_made_both_say_why(
    workflow: Workflow, agent: Agent, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof_views, "LIMIT_BYTES", 10)
    monkeypatch.setattr("dashboard.proof.LIMIT_BYTES", 10)
    answer = as_agent(agent).get(f"{WORKFLOWS}/{workflow.pk}/export")
    assert (answer.status_code, answer.json()["code"]) == (409, "export-too-large")
    page = logged_in(viewer).get(f"/workflows/{workflow.pk}/export/", follow=True)
    assert "Let an operator export it" in page.content.decode()
