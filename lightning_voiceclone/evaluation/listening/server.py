"""The listening test's web server: a page, and the data that it requests. Needs the extra ``listen``."""

import logging
import sqlite3
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Cookie, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field, StrictInt

from lightning_voiceclone.errors import RecordingError
from lightning_voiceclone.evaluation.listening.bounds import BodyLimit
from lightning_voiceclone.evaluation.listening.kinds import TESTS
from lightning_voiceclone.evaluation.listening.material import Material
from lightning_voiceclone.evaluation.listening.schedule import Schedule
from lightning_voiceclone.evaluation.listening.store import FullError, Presentation, Store
from lightning_voiceclone.utils.html.document import document
from lightning_voiceclone.utils.reading import excerpt

ASSETS = Path(__file__).parent
COOKIE_SECONDS = 90 * 24 * 3600
MOST_PLACES = 100
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Nothing is loaded from elsewhere; the page contains its style and script.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; media-src blob:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
logger = logging.getLogger(__name__)


class Given(BaseModel):
    """An answer as the page sends it.

    Args:
        trial: the presentation's number.
        values: a whole number for each place that is rated.
    """

    model_config = ConfigDict(extra="forbid")
    trial: Annotated[StrictInt, Field(ge=1, lt=2**63)]
    values: Annotated[list[StrictInt], Field(min_length=1, max_length=MOST_PLACES)]


def make_app(material: Material, store: Store, schedule: Schedule, address: str = "127.0.0.1") -> FastAPI:
    """The web application, served at an IP address.

    At a loopback address it accepts only this machine's own names as host. Otherwise another site could point its name
    here (DNS rebinding), and its pages could read and answer.

    A cookie identifies a listener; ``/?listener=NAME`` sets it too, so that a test can be continued elsewhere.
    Recordings are named by the presentation and the place only, so nothing that is sent reveals the systems.
    """
    app = FastAPI(title="lvc listen", docs_url=None, redoc_url=None, openapi_url=None)
    page = document(
        "Listening test",
        (ASSETS / "page.html").read_text("utf-8"),
        style=(ASSETS / "page.css").read_text("utf-8"),
        script=(ASSETS / "page.js").read_text("utf-8"),
    )

    named = Annotated[str, Cookie(max_length=64, alias=store.cookie)]

    def listener_of(listener: named = "") -> str:
        if not store.knows(listener):
            raise HTTPException(401, "this browser has no listener yet; start the test first")
        return listener

    Listener = Annotated[str, Depends(listener_of)]
    own_machine = ip_address(address).is_loopback

    @app.middleware("http")
    async def guard(request: Request, call_next: Any) -> Response:
        if own_machine and _hostname(request) not in {*LOOPBACK, address}:
            return Response("this test is served to its own machine; open it there by 127.0.0.1 or localhost", 403)
        origin = request.headers.get("origin")
        if request.method != "GET" and origin and _site(origin) != request.headers.get("host"):
            return Response("this site accepts no answers from other sites' pages", 403)
        response: Response = await call_next(request)
        response.headers.update({"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff",
                                 "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})  # fmt: skip
        return response

    app.add_middleware(BodyLimit)

    @app.exception_handler(RequestValidationError)
    def refuse(request: Request, error: RequestValidationError) -> Response:
        faults = [f"{' '.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()[:3]]
        # FastAPI's own handler fails on what is not text.
        return JSONResponse({"detail": excerpt("; ".join(faults))}, 422)

    @app.exception_handler(FullError)
    def turn_away(request: Request, error: FullError) -> Response:
        return JSONResponse({"detail": str(error)}, 503)

    @app.exception_handler(sqlite3.Error)
    def not_kept(request: Request, error: sqlite3.Error) -> Response:
        # For whoever runs the test; the listener cannot fix it.
        logger.error("the database cannot be used now: %s", error)
        return JSONResponse(
            {"detail": "nothing can be stored now (a full disk?); earlier answers are safe, so try again later"}, 503
        )

    @app.get("/")
    def index(listener: Annotated[str | None, Query(max_length=64)] = None) -> Response:
        if listener is None:
            return HTMLResponse(page)
        if not store.knows(listener):
            raise HTTPException(404, "no listener has this name; open the test without a name to start anew")
        return _remember(RedirectResponse("/", 303), store, listener)

    @app.get("/favicon.ico")
    def favicon() -> Response:
        return Response(status_code=204)

    @app.post("/api/listener", status_code=201)
    def begin(response: Response) -> dict[str, Any]:
        listener = store.add_listener()
        _remember(response, store, listener)
        return state(listener)

    @app.get("/api/trial")
    def current(listener: named = "") -> dict[str, Any]:
        return state(listener) if store.knows(listener) else {"listener": None, "trial": None}

    @app.post("/api/answer")
    def answer(given: Given, listener: Listener) -> dict[str, Any]:
        shown = store.presentation(listener, given.trial)
        if shown is None:
            raise HTTPException(404, f"trial {given.trial} was not shown to this listener")
        fault = fault_of(shown, given.values)
        if fault:
            raise HTTPException(422, fault)
        if store.answer(shown.number, given.values) == "other":
            raise HTTPException(409, f"trial {given.trial} already has another answer, which stays")
        return state(listener)

    @app.get("/audio/{number}/{place}")
    def audio(number: int, place: int, listener: Listener) -> Response:
        shown = store.presentation(listener, number) if 0 < number < 2**63 else None
        if shown is None or not 0 <= place < len(shown.arrangement):
            raise HTTPException(404, "there is no such recording in a trial of this listener")
        try:
            sound = material.sound(shown.trial.case, shown.arrangement[place])
        except (RecordingError, OSError) as error:
            raise HTTPException(503, "the recording cannot be read") from error
        return Response(sound, media_type="audio/wav")

    def state(listener: str) -> dict[str, Any]:
        shown = store.present(listener, lambda history: schedule.next(listener, history))
        done = sum(trial.test in schedule.quotas for trial in store.answered(listener))
        return {"listener": listener, "answered": done, "total": max(schedule.length, done),
                "trial": _shown(shown) if shown else None}  # fmt: skip

    return app


def fault_of(shown: Presentation, values: list[int]) -> str:
    """Why these values are not a valid answer to the trial; empty if they are."""
    test = TESTS[shown.trial.test]
    expected = test.count(shown.arrangement)
    if len(values) != expected:
        return f"the answer has {len(values)} values, but the trial needs {expected}"
    wrong = next((value for value in values if not test.least <= value <= test.greatest), None)
    return "" if wrong is None else f"the value is {wrong}, but must be from {test.least} to {test.greatest}"


def _site(origin: str) -> str | None:
    """Host and port of the page that sends a request."""
    try:
        return urlsplit(origin).netloc
    except ValueError:  # of brackets that do not match
        return None


def _hostname(request: Request) -> str | None:
    """The host that the request is for, at any port, since it may come through a tunnel."""
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:  # of brackets that do not match
        return None


def _shown(shown: Presentation) -> dict[str, Any]:
    """The public part of a trial, without case and conditions."""
    test = TESTS[shown.trial.test]
    return {
        "number": shown.number,
        "title": test.title,
        "question": test.question,
        "places": test.labels(shown.arrangement),
        "rated": test.count(shown.arrangement),
        "scale": [{"value": value, "label": label} for value, label in test.scale.items()],
        "sliders": test.sliders,
        "least": test.least,
        "greatest": test.greatest,
    }


def _remember(response: Response, store: Store, listener: str) -> Response:
    response.set_cookie(store.cookie, listener, max_age=COOKIE_SECONDS, httponly=True, samesite="lax")
    return response
