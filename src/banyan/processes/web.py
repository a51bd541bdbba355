"""The pages that learners see. Ready as soon as it can render: what it shows may be away."""

from fastapi import FastAPI

from banyan.clients.learning import LearningClient
from banyan.infra import http
from banyan.infra.http_client import HttpClient
from banyan.infra.settings import Settings
from banyan.web import pages


async def run(settings: Settings) -> None:
    learning = HttpClient(settings.run / "internal.sock", "learning")
    await http.serve(build(settings, learning), http.inherited_or_own_socket(settings, "web"))
    await learning.close()


def build(settings: Settings, learning: HttpClient) -> FastAPI:
    assets = pages.assets()
    face = pages.face(assets, site=settings.url)
    return http.application(
        "web",
        [pages.router(face, LearningClient(learning), site=settings.url), assets.router()],
        settings=settings,
        error_page=pages.error_page(face),
    )
