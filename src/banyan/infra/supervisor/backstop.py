"""Behind the supervisor's memory limit, for a process that grows quicker than anybody looks."""

import resource

from banyan.infra.settings import Settings

_TIMES = 2


def keep_within(settings: Settings, process: str) -> None:
    """From now on the kernel refuses the calling process more than twice its limit."""
    limit = settings.memory_limit(process) * _TIMES
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bounds = [bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY]
    if limit and all(limit < bound for bound in bounds):
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
