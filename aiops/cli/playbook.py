"""``forewarn playbook``: check, explain, rehearse and test playbooks without an engine."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiops.cli.failure import Failure

if TYPE_CHECKING:
    from aiops.core.playbook import Playbook

playbook = typer.Typer(help="Check, explain, rehearse and test playbooks.", no_args_is_help=True)

Files = Annotated[list[Path], typer.Argument(help="Playbooks, or folders of them.", metavar="PATH...")]
File = Annotated[Path, typer.Argument(help="The playbook.", metavar="PLAYBOOK")]


@playbook.command(short_help="Find every fault in playbooks.")
def check(paths: Files) -> None:
    """Say everything that is wrong with playbooks: line, key, and what to write instead.

    Example:

      forewarn playbook check playbooks/

    Exit codes: 0 all are good, 1 one is not, 2 wrong usage.
    """
    from aiops.config.playbooks import PlaybookError, load_playbooks, playbook_files

    bad = 0
    try:
        files = playbook_files(paths)
    except PlaybookError as why:
        raise Failure(str(why)) from why
    for path in files:
        try:
            load_playbooks([path])
        except PlaybookError as why:
            sys.stderr.write(f"{why}\n\n")
            bad += 1
    if bad:
        sys.stderr.write(f"{bad} of {len(files)} playbooks have faults\n")
        raise typer.Exit(1)
    typer.echo(f"{len(files)} playbooks are good" if len(files) != 1 else f"{files[0]} is good")


@playbook.command(short_help="Say in words what a playbook does.")
def explain(path: File) -> None:
    """Say in words when a playbook acts, what it does, and how it proves that it helped.

    Example:

      forewarn playbook explain playbooks/library/restart-service.yaml
    """
    typer.echo("\n".join(_words(_load(path))))


@playbook.command("dry-run", short_help="Show what a playbook would do for a problem.")
def dry_run(
    path: File,
    problem: Annotated[
        Path,
        typer.Argument(help="A YAML or JSON file of the problem: labels, evidence, ...", metavar="PROBLEM"),
    ],
) -> None:
    """Show what a playbook would do for a problem, step by step. Nothing is done.

    The problem is what its conditions see: `labels`, `severity`, `stage`, and a list of `evidence`. A file
    with `problem` and `registered` also says what steps are taken to have found.

    Example:

      forewarn playbook dry-run playbooks/library/restart-service.yaml problem.yaml

    Exit codes: 0 it fits and could be made, 1 it does not or could not, 2 wrong usage.
    """
    from aiops.core.acts import BadArguments
    from aiops.core.expressions import ExpressionError
    from aiops.core.playbook_cases import rehearsed

    made = _load(path)
    seen, found = _problem(problem)
    try:
        if not made.match.test({"problem": seen}):
            raise Failure(f"{made.name} does not fit this problem: its match does not hold")
        typer.echo(f"{made.name} fits, and would act on {made.target_of({'problem': seen})}")
        for phase, plan in rehearsed(made, seen, found):
            typer.echo(f"  {phase:<24} {plan}")
    except (BadArguments, ExpressionError) as why:
        raise Failure(f"{made.name} cannot be made for this problem: {why}") from why


@playbook.command(short_help="Run the tests that stand beside playbooks.")
def test(paths: Files) -> None:
    """Run the tests of playbooks. Nothing is done.

    `restart-web.test.yaml` beside `restart-web.yaml` lists cases: each a problem, and what the playbook is to
    make of it.

    Example:

      forewarn playbook test playbooks/

    Exit codes: 0 all hold, 1 one does not, 2 wrong usage.
    """
    from aiops.config.playbooks import PlaybookError, cases_beside, playbook_files, read_cases
    from aiops.core.playbook_cases import failures

    held = failed = 0
    try:
        for path in playbook_files(paths):
            beside = cases_beside(path)
            if not beside.exists():
                typer.echo(f"{path}: no tests; write {beside.name}")
                continue
            made = _load(path)
            for case in read_cases(beside.read_text("utf-8"), str(beside)).cases:
                found = failures(made, case)
                failed, held = failed + bool(found), held + (not found)
                for words in found:
                    typer.echo(f"{beside}: {case.name}: {words}")
    except PlaybookError as why:
        raise Failure(str(why)) from why
    typer.echo(f"{held} cases hold" + (f", {failed} do not" if failed else ""))
    if failed:
        raise typer.Exit(1)


@playbook.command(short_help="Print the JSON Schema of playbooks, for editors.")
def schema() -> None:
    """Print the JSON Schema of playbooks. An editor that knows it completes keys and marks faults.

    Example:

      forewarn playbook schema > playbook.schema.json

      # and in a playbook:  # yaml-language-server: $schema=./playbook.schema.json
    """
    from aiops.core.playbook import Playbook

    typer.echo(json.dumps(Playbook.model_json_schema(), indent=2))


def _load(path: Path) -> "Playbook":
    from aiops.config.playbooks import PlaybookError, load_playbooks

    if path.is_dir():
        raise Failure(f"{path} is a folder; name one playbook")
    try:
        return load_playbooks([path])[0]
    except PlaybookError as why:
        raise Failure(str(why)) from why


def _problem(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The problem, and what steps are taken to have found."""
    from aiops.config.document import parse

    try:
        text = path.read_text("utf-8")
    except OSError as why:
        raise Failure(f"{path} cannot be read: {why.strerror}") from why
    document = parse(text, str(path))
    if document.complaints or not isinstance(document.data, dict):
        said = document.complaints[0].message if document.complaints else "expected keys and values"
        raise Failure(f"{path}: {said}")
    inner = document.data.get("problem", document.data)
    found = document.data.get("registered", {}) if inner is not document.data else {}
    if not isinstance(inner, dict) or not isinstance(found, dict):
        raise Failure(f"{path}: expected keys and values under `problem` and `registered`")
    return inner, found


def _words(made: "Playbook") -> list[str]:
    from aiops.plugin.params import format_duration

    guards = made.guards
    out = [
        f"{made.name}: {made.description}".rstrip(": "),
        f"  fits      {' '.join(made.match.text.split())}",
    ]
    out.append(f"  acts on   {made.target or 'what its first step names'}")
    out.append(f"  autonomy  {_AUTONOMY[made.autonomy.value]}")
    rest = f"rests {format_duration(guards.cooldown)} on one target"
    budget = f"at most {guards.max_runs.count} runs per {format_duration(guards.max_runs.per)}"
    out.append(
        f"  guards    {rest}; {budget}" + ("; only while it fires" if guards.only_while_firing else "")
    )
    for act in made.all_acts():
        given = ", ".join(
            f"{k}={v}" for k, v in act.arguments.items() if k not in ("idempotent", "never_retry")
        )
        when = f", if {act.when.text}" if act.when else ""
        name = act.phase if act.phase == act.name else f"{act.phase} {act.name}"
        kept = f"; what it finds is kept as {act.register}" if act.register else ""
        out.append(f"  {name}: {act.kind} ({given}){when}{kept}{_after_a_crash(act.phase, act.arguments)}")
    if made.verify:
        spec = made.verify
        out.append(
            f"  proof     {spec.times} times in a row, every {format_duration(spec.every)}, "
            f"within {format_duration(spec.within)}"
        )
    out.append(f"  else      a person is asked{f' through {made.escalate.to}' if made.escalate.to else ''}")
    return out


_AUTONOMY = {
    "observe": "only plans, for the record",
    "suggest": "plans, and tells the ticket",
    "approve": "acts once a person has approved",
    "auto": "acts by itself",
}


def _after_a_crash(phase: str, arguments: Any) -> str:
    if phase not in ("step", "rollback"):
        return ""
    if arguments.get("never_retry") is True:
        return "; after a crash a person decides"
    return "; after a crash it is repeated" if arguments.get("idempotent") is True else ""
