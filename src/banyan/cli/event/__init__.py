"""`banyan event ...`: what has happened, who has yet to hear of it, and telling it again."""

import typer

from banyan.cli.event import consumers, looking, replaying
from banyan.cli.event.dead import app as dead
from banyan.cli.event.provisioning import provision

app = typer.Typer(help="Events: stored, on their way, not handled, told again.", no_args_is_help=True)
app.command("ls")(looking.list_events)
app.command("show")(looking.show)
app.command("replay")(replaying.replay)
app.command("replays")(replaying.list_replays)
app.command("cancel")(replaying.cancel)
app.command("lag")(consumers.lag)
app.command("pause")(consumers.pause)
app.command("resume")(consumers.resume)
app.command("provision")(provision)
app.add_typer(dead, name="dead")
