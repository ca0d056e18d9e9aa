"""axe-core, an accessibility checker, from its npm package: pinned as the console's assets are."""

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Page

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "build" / "axe" / "axe-core-4.14.1.min.js"
SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def source() -> str:
    """The checker's script. Raises RuntimeError where npm cannot fetch it."""
    if not KEPT.is_file():
        spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
        assert spec
        assert spec.loader
        build = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(build)
        asset = build.Asset("axe-core", "4.14.1", SHA512, {"axe.min.js": KEPT.name})
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT.parent) as scratch:
            build._unpack(asset, build._pack(asset, Path(scratch)), Path(scratch))
            (Path(scratch) / KEPT.name).rename(KEPT)
    return KEPT.read_text()


async def faults(page: Page, script: str) -> list[str]:
    """What breaks WCAG 2.2 AA on the page as it stands: ``rule: element``."""
    await page.evaluate(script)
    options = {"runOnly": {"type": "tag", "values": WCAG}}
    found: dict[str, Any] = await page.evaluate("(options) => axe.run(document, options)", options)
    return [
        f"{one['id']}: {node['html'][:160]} {node['any'][0]['message'][:160] if node['any'] else ''}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
