"""How well templates are found: LogHub-2k, corrected ground truth (Khan et al., ICSE'22), one configuration.

    python -m tests.bench.log_parsing --data DIR [--raw] [--systems HDFS,BGL]

Each line is given to the miner alone and grouped by the id that it got then.
`ga`: lines whose group is the true one exactly; `fga`: F1 of groups; `pa`: lines whose template has the true
text; `fta`: F1 of templates that have the true text for lines of one true template (Jiang et al., ISSTA'24).
Texts are those at the end of the stream, compared after collapsing white space and neighbouring wildcards, on
both sides.
"""

import argparse
import csv
import json
import re
from collections import defaultdict
from pathlib import Path

from aiops.plugin import Miner
from aiops.plugin.load import load

_NEIGHBOURS = re.compile(r"<\*>(?:[:./_\-+]*<\*>)+")
FIGURES = ("ga", "fga", "pa", "fta")


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--data", type=Path, required=True)
    ask.add_argument("--raw", action="store_true", help="whole lines: no header is stripped")
    ask.add_argument("--systems", default="", help="comma-separated; all in the folder when left out")
    chosen = ask.parse_args()
    names = chosen.systems.split(",") if chosen.systems else sorted(p.name for p in chosen.data.iterdir())
    found = {}
    for name in names:
        lines, truth = read(chosen.data / name, name, chosen.raw)
        found[name] = measure(lines, truth)
        print(f"{name:<12}", *(f"{figure} {found[name][figure]:.3f}" for figure in FIGURES))
    mean = {figure: round(sum(one[figure] for one in found.values()) / len(found), 4) for figure in FIGURES}
    kind = {"input": "raw lines" if chosen.raw else "content", "systems": len(found), "lines": 2000}
    print(json.dumps({"bench": "log_parsing", "truth": "LogHub-2k corrected", **kind, **mean}))


def read(folder: Path, name: str, raw: bool) -> tuple[list[str], list[str]]:
    """(lines, true template of each)."""
    with (folder / f"{name}_2k.log_structured_corrected.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lines = [row["Content"] for row in rows]
    if raw:
        text = (folder / f"{name}_2k.log").read_text(encoding="utf-8", errors="replace")
        lines = text.removesuffix("\n").split("\n")
    return [line.replace("\n", " ") for line in lines], [row["EventTemplate"] for row in rows]


def measure(lines: list[str], truth: list[str]) -> dict[str, float]:
    miner = load("detectors", "log_templates", Miner)()  # type: ignore[type-abstract]
    ids = [miner.add([line])[0] for line in lines]
    found = {ident: miner.find(ident) for ident in set(ids)}
    texts = [template.text if (template := found[ident]) else "" for ident in ids]
    return grouping([str(ident) for ident in ids], truth) | wording(texts, truth)


def grouping(ids: list[str], truth: list[str]) -> dict[str, float]:
    groups, wanted = _places(ids), _places(truth)
    exact = [places for places in groups.values() if wanted[truth[places[0]]] == places]
    f1 = 2 * len(exact) / (len(groups) + len(wanted))
    return {"ga": sum(map(len, exact)) / len(ids), "fga": f1}


def wording(texts: list[str], truth: list[str]) -> dict[str, float]:
    mine, theirs = [list(map(normal, side)) for side in (texts, truth)]
    groups = _places(mine)
    right = [text for text, places in groups.items() if {theirs[place] for place in places} == {text}]
    same = sum(a == b for a, b in zip(mine, theirs, strict=True))
    return {"pa": same / len(mine), "fta": 2 * len(right) / (len(groups) + len(set(theirs)))}


def normal(text: str) -> str:
    return _NEIGHBOURS.sub("<*>", " ".join(text.split()))


def _places(keys: list[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        found[key].append(place)
    return found


if __name__ == "__main__":
    main()
