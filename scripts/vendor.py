#!/usr/bin/env python3
"""Bring third-party browser files into `static/vendor/`, or check that nobody changed them since.

`make vendor` packs each pinned npm package, verifies its integrity against `LOCK.json`, takes the
few files we serve and writes their hashes down. `--check` needs neither npm nor a network. To move
to another version: change it here, run `make vendor ARGS=--accept`, read the diff.
"""

import argparse
import base64
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "static" / "vendor"
LOCK = VENDOR / "LOCK.json"
SVG = "http://www.w3.org/2000/svg"
SOURCE_MAP = re.compile(rb"\n?(//# sourceMappingURL=\S+|/\*# sourceMappingURL=\S+ ?\*/)\s*$")

ICONS = """
    alert-circle alert-triangle antenna-bars-2 antenna-bars-4 antenna-bars-5 arrow-left
    arrow-right arrow-up arrows-diff ban bell bolt brand-slack building calendar check
    chevron-down chevron-left chevron-right circle-check circle-dashed circle-x clock code copy
    corner-down-left device-desktop device-mobile dots edit external-link eye file-text filter
    fingerprint flask git-branch help-circle history home hourglass inbox info-circle key
    keyboard link list-details loader-2 lock logout mail menu-2 message message-circle moon
    player-pause player-play player-stop plus quote refresh robot rotate search send settings
    shield-check shield-lock sun user users world x
"""

# @tabler/core carries no licence file in its npm package; these are the notices in its sources and
# in what its style sheet is made from. All of them chose MIT.
TABLER_NOTICES = """\
Copyright (c) 2018-2026 The Tabler Authors
Copyright (c) 2018-2026 codecalm.net Paweł Kuna

tabler.min.css contains code of Bootstrap under the same licence:
Copyright (c) 2011-2026 The Bootstrap Authors"""


@dataclass(frozen=True)
class Package:
    """One npm package: `files` maps what we serve to where it stands in the package."""

    name: str
    version: str
    folder: str
    licence: str
    files: dict[str, str] = field(default_factory=dict)
    notices: str = ""
    icons: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The folder the files are served from; the version in its name makes URLs immutable."""
        return VENDOR / f"{self.folder}-{self.version}"


class Locked(TypedDict):
    """One package in LOCK.json; `files` maps a path under `static/vendor/` to its SHA-256."""

    name: str
    version: str
    integrity: str
    licence: str
    files: dict[str, str]


PACKAGES = (
    Package(
        "@tabler/core",
        "1.6.1",
        "tabler-core",
        "MIT",
        {"tabler.min.css": "dist/css/tabler.min.css"},
        notices=TABLER_NOTICES,
    ),
    Package(
        "@tabler/icons",
        "3.51.0",
        "tabler-icons",
        "MIT",
        {"LICENSE": "LICENSE"},
        icons=tuple(ICONS.split()),
    ),
    Package(
        "tinykeys",
        "3.1.0",
        "tinykeys",
        "MIT",
        {"tinykeys.umd.js": "dist/tinykeys.umd.js", "LICENSE": "LICENSE"},
    ),
    Package(
        "@github/relative-time-element",
        "5.3.1",
        "relative-time-element",
        "MIT",
        {"bundle.js": "dist/bundle.js", "LICENSE": "LICENSE"},
    ),
    Package(
        "@fontsource-variable/inter",
        "5.3.0",
        "inter",
        "OFL-1.1",
        {
            "latin.woff2": "files/inter-latin-wght-normal.woff2",
            "latin-ext.woff2": "files/inter-latin-ext-wght-normal.woff2",
            "LICENSE": "LICENSE",
        },
    ),
)


def main() -> int:
    """Rebuild or check; 0 when everything is as locked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare hashes only, offline")
    parser.add_argument("--accept", action="store_true", help="lock a new version's integrity")
    parser.add_argument("--tarballs", type=Path, help="folder of `npm pack` results to use")
    options = parser.parse_args()
    if not options.check:
        rebuild(tarballs=options.tarballs, accept=options.accept)
    problems = list(check())
    for problem in problems:
        print(f"vendor: {problem}", file=sys.stderr)
    if not problems:
        print(f"vendor: {len(PACKAGES)} packages in {VENDOR.relative_to(ROOT)} match LOCK.json")
    return 1 if problems else 0


def rebuild(*, tarballs: Path | None, accept: bool) -> None:
    """Write every package's folder and the lock file anew, or exit at the first foreign tarball."""
    locked = {entry["name"]: entry for entry in read_lock()}
    entries = []
    with tempfile.TemporaryDirectory() as scratch:
        for package in PACKAGES:
            tarball = pack(package, tarballs or Path(scratch), fetch=tarballs is None)
            integrity = sha512(tarball)
            known = locked.get(package.name)
            if not accept and (known is None or known["integrity"] != integrity):
                sys.exit(f"vendor: {package.name}@{package.version} is not what LOCK.json names.")
            write_files(package, tarball)
            entries.append(lock_entry(package, integrity))
    LOCK.write_text(json.dumps({"packages": entries}, indent=2) + "\n", encoding="utf-8")


def pack(package: Package, folder: Path, *, fetch: bool) -> Path:
    """The package's tarball in `folder`, fetched by npm unless it is said to be there."""
    if fetch:
        spec = f"{package.name}@{package.version}"
        command = ["npm", "pack", spec, "--silent", "--pack-destination", str(folder)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    stem = package.name.removeprefix("@").replace("/", "-")
    return folder / f"{stem}-{package.version}.tgz"


def write_files(package: Package, tarball: Path) -> None:
    """Take the files we serve out of a tarball."""
    package.path.mkdir(parents=True, exist_ok=True)
    with tarfile.open(tarball) as archive:
        for name, source in package.files.items():
            (package.path / name).write_bytes(without_source_map(read(archive, source)))
        if package.icons:
            svgs = {name: read(archive, f"icons/outline/{name}.svg") for name in package.icons}
            (package.path / "sprite.svg").write_text(sprite(svgs), encoding="utf-8")
    if package.notices:
        text = (ROOT / "LICENSE").read_text(encoding="utf-8")
        licence = re.sub(r"^Copyright .*$", package.notices, text, count=1, flags=re.MULTILINE)
        (package.path / "LICENSE").write_text(licence, encoding="utf-8")


def read(archive: tarfile.TarFile, source: str) -> bytes:
    """One file of an npm tarball, whose paths all begin with `package/`."""
    member = archive.extractfile(f"package/{source}")
    if member is None:
        sys.exit(f"vendor: {source} is not a file in {archive.name!r}.")
    return member.read()


def without_source_map(content: bytes) -> bytes:
    """Drop the trailing pointer to a source map, which collectstatic would look for in vain."""
    return SOURCE_MAP.sub(b"\n", content)


def sprite(svgs: dict[str, bytes]) -> str:
    """One SVG document with a `<symbol>` an icon, in the colour of the text around its use."""
    ElementTree.register_namespace("", SVG)
    root = ElementTree.Element(f"{{{SVG}}}svg")
    for name, content in sorted(svgs.items()):
        icon = ElementTree.fromstring(content)  # noqa: S314 - from a tarball whose hash is locked
        symbol = ElementTree.SubElement(root, f"{{{SVG}}}symbol", id=name, viewBox="0 0 24 24")
        # Presentation attributes on the symbol reach through <use>, so pages need only a size.
        for attribute in ("fill", "stroke", "stroke-width", "stroke-linecap", "stroke-linejoin"):
            symbol.set(attribute, icon.get(attribute, ""))
        symbol.extend(shape for shape in icon if shape.get("d") != "M0 0h24v24H0z")
        for element in symbol.iter():
            element.text = element.tail = None
    ElementTree.indent(root, space="", level=0)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def lock_entry(package: Package, integrity: str) -> Locked:
    """What LOCK.json keeps of a package."""
    return {
        "name": package.name,
        "version": package.version,
        "integrity": integrity,
        "licence": package.licence,
        "files": {
            str(path.relative_to(VENDOR)): sha256(path) for path in sorted(package.path.iterdir())
        },
    }


def check() -> Iterator[str]:
    """Every difference between LOCK.json, this script and the files, as a sentence."""
    locked = read_lock()
    wanted = {(package.name, package.version) for package in PACKAGES}
    if {(entry["name"], entry["version"]) for entry in locked} != wanted:
        yield "LOCK.json names other packages than scripts/vendor.py. Run `make vendor`."
    hashes = {name: digest for entry in locked for name, digest in entry["files"].items()}
    present = {str(path.relative_to(VENDOR)) for path in VENDOR.rglob("*") if path.is_file()}
    for name in sorted(hashes.keys() - present):
        yield f"{name} is missing."
    for name in sorted(present - hashes.keys() - {LOCK.name}):
        yield f"{name} is not in LOCK.json."
    for name in sorted(present & hashes.keys()):
        if sha256(VENDOR / name) != hashes[name]:
            yield f"{name} was changed after it was vendored."


def read_lock() -> list[Locked]:
    """The locked packages; none before the first run."""
    if not LOCK.exists():
        return []
    packages: list[Locked] = json.loads(LOCK.read_text(encoding="utf-8"))["packages"]
    return packages


def sha512(path: Path) -> str:
    """An integrity string as npm writes it."""
    return "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
