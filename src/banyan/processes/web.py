"""The pages that learners see. Ready as soon as it can render: what it shows may be away."""

from fastapi import FastAPI

from banyan.clients.iam import IamClient
from banyan.clients.learning import LearningClient
from banyan.infra import http
from banyan.infra.http_client import HttpClient
from banyan.infra.identity import IamKeys, Verifier
from banyan.infra.settings import Settings
from banyan.web import pages


async def run(settings: Settings) -> None:
    learning, iam = (
        HttpClient(settings.run / "internal.sock", name, timeout=settings.call_timeout) for name in ("learning", "iam")
    )
    keys = IamKeys(settings)
    app = build(settings, learning=learning, iam=iam, verifier=Verifier(keys, settings))
    await http.serve(app, http.inherited_or_own_socket(settings, "web"))
    for opened in (learning, iam, keys):
        await opened.close()


def build(settings: Settings, *, learning: HttpClient, iam: HttpClient, verifier: Verifier) -> FastAPI:
    settings.make_folders()
    assets = pages.assets()
    forms = pages.Forms(settings)
    face = pages.face(assets, forms, site=settings.url)
    routes = pages.router(face, forms, of_learning=LearningClient(learning), of_iam=IamClient(iam), site=settings.url)
    app = http.application("web", [routes, assets.router()], settings=settings, error_page=pages.error_page(face))
    app.add_middleware(pages.Recognition, verifier=verifier)
    return app
