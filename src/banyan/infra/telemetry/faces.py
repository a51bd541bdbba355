"""`/figures` and `/metrics`, on a process's own socket only: whoever comes through Envoy finds nothing there."""

import asyncio
from dataclasses import replace
from pathlib import Path

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from starlette.exceptions import HTTPException

from banyan.infra.telemetry.figures import LEDGER

FIGURES = "/figures"
METRICS = "/metrics"

_ADDED_BY_ENVOY = ("x-forwarded-for", "x-forwarded-proto", "x-envoy-external-address", "x-envoy-internal")


def from_the_socket_itself(request: Request) -> None:
    """A dependency: raises 404 for what came through Envoy."""
    if any(header in request.headers for header in _ADDED_BY_ENVOY):
        raise HTTPException(404)


def router(process: str, folder: Path) -> APIRouter:
    """`folder` is where the process has its files; nobody notices that nothing can be written until somebody must."""
    faces = APIRouter(dependencies=[Depends(from_the_socket_itself)], include_in_schema=False)

    @faces.get(FIGURES)
    async def figures() -> Response:
        fault = await asyncio.to_thread(_try_to_write, folder / f".{process}.trial")
        told = replace(LEDGER.figures(process), cannot_write=fault)
        return Response(msgspec.json.encode(told), media_type="application/json")

    @faces.get(METRICS)
    async def metrics() -> Response:
        return await asyncio.to_thread(_metrics, process)

    return faces


def _try_to_write(path: Path) -> str:
    """Why it does not work; empty where it does."""
    try:
        path.write_bytes(b".")
    except OSError as fault:
        return fault.strerror or repr(fault)
    return ""


def _metrics(process: str) -> Response:
    # Imported when first asked for: most processes are never asked.
    from banyan.infra.telemetry import metrics

    return Response(metrics.text(metrics.registry_of(process, LEDGER)), media_type=metrics.CONTENT_TYPE)
