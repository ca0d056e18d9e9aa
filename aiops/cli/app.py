"""The command `forewarn`. Commands import what they need when they run, so that help answers at once.

Exit codes: 0 all well; 1 it failed, or what was asked about is not well; 2 the command line is wrong.
"""

import sys

import typer

from aiops.cli import (
    accounts,
    approve,
    audit,
    backup,
    config,
    doctor,
    drill,
    handle,
    hold,
    ledger,
    live,
    playbook,
    purge,
    replay,
    run,
    seal,
    support_bundle,
)
from aiops.cli.failure import Failure

app = typer.Typer(
    name="forewarn",
    help=(
        "Sees faults coming, opens one ticket, repairs and verifies.\n\n"
        "Watch this host:  forewarn run\n\n"
        "See it work:      forewarn drill memory-leak   (in a second terminal)\n\n"
        "Exit codes: 0 all well, 1 failed or not well, 2 wrong usage."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Help by rich costs 0.15 s of imports for its boxes
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for room in (run, doctor, support_bundle, backup, purge, config, replay, live, ledger, hold, approve):
    room.register(app)
app.add_typer(drill.app, name="drill")
app.add_typer(handle.app, name="problem")
app.add_typer(playbook.playbook, name="playbook")
app.add_typer(audit.audit, name="audit")
app.add_typer(accounts.accounts, name="accounts")
app.add_typer(accounts.tokens, name="tokens")
seal.register(run.database)
app.add_typer(run.database, name="db")


def main() -> None:
    """Entry point of the distribution."""
    try:
        app()
    except Failure as why:
        text = str(why)
        sys.stderr.write(text if text.startswith("error:") else f"error: {text}")
        sys.stderr.write("\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
