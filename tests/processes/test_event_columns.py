"""What the command line shows of events was written by anybody."""

import pytest

from banyan.cli.event import columns


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("banyan.iam.account-registered.v1", "banyan.iam.account-registered.v1"),
        ("사람 3, é", "사람 3, é"),
        ("\x1b[2J\x1b]0;title\x07", "\\u001b[2J\\u001b]0;title\\u0007"),
        ("\x9b31mred", "\\u009b31mred"),
        ("a\u202eb\u200b", "a\\u202eb\\u200b"),
        ("two\nlines\r", "two\\u000alines\\u000d"),
    ],
)
def test_nothing_in_a_cell_commands_the_terminal(told: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    columns.show(("id", "key"), [("1", told)])

    assert capsys.readouterr().out.split("\n")[1] == f"1   {shown}"
