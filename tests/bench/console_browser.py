"""What a page weighs and how soon it is there, in a real browser that comes for the first time."""

from typing import Any

import numpy as np
from playwright.async_api import Browser

from aiops.engine.engine import Engine
from tests.bench.console_past import Past
from tests.browser import chromium, served

TIMES = 3
LCP = """() => new Promise(done => {
  new PerformanceObserver(list => done(list.getEntries().at(-1).startTime))
    .observe({type: "largest-contentful-paint", buffered: true});
  setTimeout(() => done(-1), 5000);
})"""


async def seen(engine: Engine, past: Past) -> dict[str, Any]:
    """``page_kb`` and ``lcp_s`` of the worst page, and which that was."""
    paths = ["/", "/problems", f"/problems/{past.problems}", f"/problems/{past.open_from // 2}"]
    paths += ["/alerts", "/series", "/runs", "/deliveries", "/audit", "/ledger", "/topology", "/sources"]
    weights, paints = dict[str, float](), dict[str, float]()
    async with served(engine) as url, chromium() as browser:
        await _looked(browser, url + "/sources")
        for path in paths:
            found = [await _looked(browser, url + path) for _ in range(TIMES)]
            weights[path] = max(weight for weight, _ in found)
            paints[path] = float(np.median([paint for _, paint in found]))
    heaviest, last = max(weights, key=weights.__getitem__), max(paints, key=paints.__getitem__)
    return {
        "page_kb": round(weights[heaviest], 1),
        "lcp_s": round(paints[last], 2),
        "heaviest": heaviest,
        "last_painted": last,
    }


async def _looked(browser: Browser, url: str) -> tuple[float, float]:
    """KB over the wire, and seconds to the largest contentful paint, with an empty cache."""
    context = await browser.new_context(viewport={"width": 1280, "height": 860})
    page = await context.new_page()
    told = await context.new_cdp_session(page)
    sizes: list[float] = []
    told.on("Network.loadingFinished", lambda one: sizes.append(one["encodedDataLength"]))
    await told.send("Network.enable")
    # the stream of events never ends: the network is never idle
    await page.goto(url, wait_until="load")
    paint = await page.evaluate(LCP)
    assert paint > 0, f"nothing was painted of {url}"
    await context.close()
    return sum(sizes) / 1024, paint / 1000
