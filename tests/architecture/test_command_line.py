"""Every command of `banyan` pays for what is imported before it runs."""

import subprocess
import sys

# What only those need who serve: with them each command would start half as slow again.
SERVING = ("fastapi", "starlette", "uvicorn", "pyarrow", "aiobotocore")


def test_a_command_loads_nothing_that_only_serving_needs() -> None:
    look = f"import sys, banyan.cli; print([name for name in {SERVING!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
