"""All problem types, read from the code: `.venv/bin/python -m tests.policies.problem_types > docs/problems.md` writes the page."""

import ast
import importlib
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from canonical.failures import WORDS
from policies.problems import FAILURES, REFUSALS, REJECTIONS, TITLES, TYPE_PREFIX

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "problems.md"
PACKAGES = ("canonical", "runtime", "policies", "system_apis", "process_apis", "experience_apis", "gateway")
NOT_SERVED = {"simulator", "simulation", "demo", "settings", "running", "inspecting", "migrations"}  # what no request meets

# What each code of the HTTP layer means to a caller, and what to do.
MEANINGS = {
    "conflict": "Another request for the same order, quote or payment was faster by a moment. Ask again: the answer says what is there.",
    "connection_unknown": "No vendor account has this name.",
    "disconnected": "The caller went away before the body was complete. Nothing was done.",
    "idempotency_key_in_flight": "The first request with this key is still at work. Ask again after `Retry-After` seconds.",
    "idempotency_key_invalid": "An Idempotency-Key is 1 to 255 visible ASCII characters, with or without quotes, one per request.",
    "idempotency_key_missing": "This operation needs an Idempotency-Key.",
    "idempotency_key_reused": "The key was used for another request. Its effect is untouched; use a new key for a new request.",
    "internal_error": "A bug of ours. Nothing of the request was committed unless a retry with the same key is answered as replayed.",
    "invalid_body": "The body does not fit. `errors[].pointer` is a JSON pointer (RFC 6901) to the place; empty: the whole body.",
    "invalid_request": "A parameter of the query or path does not fit; `errors[].parameter` names it.",
    "issuer_unreadable": "The keys of the token issuer cannot be had, so nobody can be recognised. Ask again after `Retry-After` seconds.",
    "malformed_body": "The body is not JSON beyond doubt: not UTF-8, a key twice, NaN, a byte order mark, more after the end, too deep.",
    "method_not_allowed": "The path does not serve this method; `Allow` says which it serves. HEAD and OPTIONS are not served.",
    "not_authenticated": "There is no access token, or it is not acceptable. The detail says why.",
    "not_cancellable": "The instance has ended, is beyond its point of no return, or nobody knows yet whether its present step was done.",
    "not_found": "Nothing is served at this path, or there is no such record.",
    "not_parked": "The instance is not parked, so there is nothing to resume.",
    "resource_unknown": "The connection has no such resource; the detail names those that it has.",
    "scope_missing": "The token lacks the scope that `WWW-Authenticate` names.",
    "too_large": "The body is larger than this route takes.",
    "transaction_unknown": "No transaction has this correlation id.",
    "unsupported_media_type": "The route takes bodies of another type.",
}

TEXT = """
# Problem types

Every error is a document of the type `application/problem+json` (RFC 9457) with `type`, `title`, `status`, `detail`, `instance` and
`correlation_id`; the last also stands in the header `X-Correlation-Id`. `errors` lists what is wrong, with `pointer`, `detail` and
sometimes `code` for bodies, with `parameter` for queries. Programs read `type` and `status`; `detail` is for people and may change.

The type is `{prefix}` and the word below. This page is written by `python -m tests.policies.problem_types`; a test
holds it against the code, so that a type that changes shows.

## What the gateway says by itself

| type | status | what it means, and what to do |
|---|---|---|
{own}

## Failures, by their word

A failure of a rule, a process or a vendor is one of six words, and the word decides the status. Only a rejection is told with its
detail; of the others the reason stands in the log, under the correlation id.

| word | status | title | detail |
|---|---|---|---|
{words}

Rejections because of something that is there already, or not there, have a status of their own:
{rejected}.

## Codes of failures

Where a code stands here twice, `type` and `status` together say what has happened.

| type | status | from |
|---|---|---|
{failures}
"""

SURE = {"Meaning", *(kind.__name__ for kind in WORDS.values())}  # what comes first in others may be a sentence
CODE = re.compile(r"[a-z][a-z0-9_]*")
Found = set[tuple[str, int, str]]


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every module that a request can meet, parsed."""
    for package in PACKAGES:
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            parts = path.relative_to(REPOSITORY).with_suffix("").parts
            if not NOT_SERVED & set(parts) and not any("simulat" in part for part in parts):
                yield ".".join(parts).removesuffix(".__init__"), ast.parse(path.read_text())


def texts(node: ast.expr, module: str) -> Iterable[str]:
    """The texts that an argument can be: a literal, one of two, or a constant of the module."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return [*texts(node.body, module), *texts(node.orelse, module)]
    if isinstance(node, ast.Name) and node.id.isupper():
        value = getattr(importlib.import_module(module), node.id)
        return [value] if isinstance(value, str) else []
    return []


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def words() -> dict[str, str]:
    """The word of each class of failures, those of a single vendor or process included."""
    known = {kind.__name__: word for word, kind in WORDS.items()}
    for _, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                for word in [known[base] for base in map(name_of, node.bases) if base in known]:
                    known.setdefault(node.name, word)
    return known


def http_codes() -> Found:
    """Code, status and package of every problem that policies and routes raise by themselves."""
    found: Found = {(code, status, "policies") for status, (code, _) in REFUSALS.items()}
    for module, tree in modules():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and name_of(node.func) == "Problem"
                and len(node.args) > 1
                and isinstance(node.args[0], ast.Constant)
            ):
                found |= {(code, int(str(node.args[0].value)), place(module)) for code in texts(node.args[1], module)}
    return found


def failure_codes() -> Found:
    """Code, status and package of every failure."""
    found: Found = set()
    known = words()
    for module, tree in modules():
        for outer in ast.walk(tree):
            own = known.get(outer.name) if isinstance(outer, ast.ClassDef) else None
            for node in ast.walk(outer) if own else [outer]:
                if isinstance(node, ast.Call):
                    found |= {
                        (code, REJECTIONS.get(code, status) if status == 422 else status, place(module))
                        for code, status in of_call(node, module, known, own)
                    }
    return found


def of_call(call: ast.Call, module: str, known: dict[str, str], own: str | None) -> Iterator[tuple[str, int]]:
    """What one call says: ``Rejected("code", …)``, ``Meaning(Rejected, "code")``, or ``super().__init__("code", …)`` of a failure."""
    word, at = known.get(name_of(call.func)), 0
    if name_of(call.func) == "Meaning" and call.args:
        word, at = known.get(name_of(call.args[0])), 1
    elif own and ast.unparse(call.func) == "super().__init__":
        word = own
    if word and len(call.args) > at:
        sure = name_of(call.func) in SURE
        yield from ((code, FAILURES[word][0]) for code in texts(call.args[at], module) if sure or CODE.fullmatch(code))


def place(module: str) -> str:
    """Where a module stands, for people: its package, and the vendor or process."""
    parts = module.split(".")
    deep = parts[0] in {"system_apis", "process_apis", "runtime"} and len(parts) > 2
    return "/".join(parts[:2] if deep else parts[:1])


def rows(found: Found) -> Iterator[str]:
    """The codes, a line each."""
    places: dict[tuple[str, int], set[str]] = defaultdict(set)
    for code, status, where in found:
        places[code, status].add(where)
    for code, status in sorted(places):
        yield f"| `{code.replace('_', '-')}` | {status} | {', '.join(sorted(places[code, status]))} |"


def page() -> str:
    """docs/problems.md."""
    own = sorted({(code, status) for code, status, _ in http_codes()})
    text = TEXT.format(
        prefix=TYPE_PREFIX,
        own="\n".join(f"| `{code.replace('_', '-')}` | {status} | {MEANINGS[code]} |" for code, status in own),
        words="\n".join(
            f"| {word} | {status} | {TITLES[status]} | {detail or '(its own)'} |" for word, (status, detail) in FAILURES.items()
        ),
        rejected=", ".join(f"`{code.replace('_', '-')}` {status}" for code, status in sorted(REJECTIONS.items())),
        failures="\n".join(rows(failure_codes())),
    )
    return text.lstrip()


if __name__ == "__main__":
    sys.stdout.write(page())
