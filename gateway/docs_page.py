"""The page at ``/docs``: every operation of the OpenAPI document as plain HTML. It loads nothing from anywhere, so it works offline."""

from html import escape
from typing import Any

from litestar import Request, Router
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.routes import BaseRoute

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1b1f24; }
h2 { margin-top: 2rem; border-bottom: 1px solid #d0d7de; } code { background: #f3f4f6; padding: .1rem .3rem; border-radius: .2rem; }
table { border-collapse: collapse; width: 100%; } td { padding: .4rem .6rem .4rem 0; vertical-align: top; }
tr { border-bottom: 1px solid #eaeef2; }
td:first-child { width: 5rem; font-weight: 600; } td:nth-child(2) { width: 26rem; }
"""


class DocsRouter(Router):
    """Serves the page and the document, and nothing else: without Litestar's own page for paths below that do not exist."""

    def register(self, value: Any) -> list[BaseRoute]:
        """Litestar hands in one handler for each page, and the one for what is not there."""
        return [] if "/{path:str}" in getattr(value, "paths", ()) else super().register(value)


class PlainPage(OpenAPIRenderPlugin):
    """Renders the operations by tag, with a link to the machine-readable document."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002 - the same for everybody
        """The page."""
        by_tag: dict[str, list[str]] = {}
        for path, operations in sorted(openapi_schema.get("paths", {}).items()):
            for method, operation in operations.items():
                row = (
                    f"<tr><td>{escape(method.upper())}</td><td><code>{escape(path)}</code></td>"
                    f"<td>{escape(operation.get('description') or operation.get('summary') or '')}</td></tr>"
                )
                by_tag.setdefault(next(iter(operation.get("tags", [])), "other"), []).append(row)
        tables = "".join(f"<h2>{escape(tag)}</h2><table>{''.join(rows)}</table>" for tag, rows in sorted(by_tag.items()))
        info = openapi_schema["info"]
        page = (
            f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(info['title'])}</title><style>{STYLE}</style>"
            f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info.get('description') or '')}</p>"
            f'<p>Machine-readable: <a href="/docs/openapi.json">OpenAPI 3.1</a></p>{tables}</html>'
        )
        return page.encode()
