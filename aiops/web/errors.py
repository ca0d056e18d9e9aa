"""Errors as ``application/problem+json`` (RFC 9457), for the API and for whoever else asks for JSON."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from aiops.model.lifecycle import IllegalTransition
from aiops.model.selector import SelectorError
from aiops.web.sentences import told

MEDIA_TYPE = "application/problem+json"


class Invalid(BaseModel):
    """One field that was refused."""

    where: str = Field(examples=["query.limit"])
    message: str = Field(examples=["Input should be less than or equal to 500"])


class Trouble(BaseModel):
    """What went wrong, as RFC 9457 says it."""

    type: str = Field("about:blank", examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no problem 42"])
    errors: list[Invalid] = Field(default_factory=list)

    model_config = ConfigDict(title="Problem details")


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries for the errors that a route may give."""
    schema = {"$ref": "#/components/schemas/Trouble"}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }


def trouble(
    status: int, detail: str, errors: list[Invalid] | None = None, headers: dict[str, str] | None = None
) -> Response:
    """The answer itself."""
    body = Trouble(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors or [])
    return JSONResponse(body.model_dump(), status, headers=headers, media_type=MEDIA_TYPE)


def not_found(what: str, ident: object) -> HTTPException:
    return HTTPException(404, f"there is no {what} {ident}")


Page = Callable[[Request, int, str], Response | None]
"""``(request, status, detail)`` -> the page for people, or None where a machine asked."""


def install(app: FastAPI, page: Page) -> None:
    """Answer every error that routes raise, or that FastAPI itself finds, in this one shape."""

    def answer(
        request: Request,
        status: int,
        detail: str,
        errors: list[Invalid] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Response:
        said = told(detail)  # in English where a machine asked: only pages speak other languages
        return page(request, status, said) or trouble(status, said, errors, headers)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, why: HTTPException) -> Response:
        return answer(request, why.status_code, str(why.detail), headers=dict(why.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, why: RequestValidationError) -> Response:
        found = [
            Invalid(where=".".join(str(part) for part in one["loc"]), message=one["msg"])
            for one in why.errors()
        ]
        return answer(request, 422, "; ".join(f"{one.where}: {one.message}" for one in found), found)

    @app.exception_handler(IllegalTransition)
    async def _illegal(request: Request, why: IllegalTransition) -> Response:
        return answer(request, 409, str(why))

    @app.exception_handler(SelectorError)
    async def _selector(request: Request, why: SelectorError) -> Response:
        return answer(request, 422, str(why))
