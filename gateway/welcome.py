"""What ``make run`` says: where everything is, a token, and the first three things to try."""

from collections.abc import Sequence

from gateway.settings import Settings


def welcome(settings: Settings, base_port: int, simulators: Sequence[str], token: str) -> str:
    """The text."""
    base = f"http://{settings.http.host}:{settings.http.port}"
    others = "\n".join(f"  {name:<12} http://127.0.0.1:{base_port + position}" for position, name in enumerate(simulators))
    return f"""
q2c-gateway, embedded, with two entities ({", ".join(settings.entities)}) bound to simulated vendors.

  gateway      {base}
  API docs     {base}/docs
{others}
  data         {settings.folder.resolve()}

A development token, valid for 12 hours (a new one: q2c token --data {settings.folder}):

export TOKEN={token}

Three things to try in another terminal, from the folder of the repository:

1. Validate a quote against all systems
   curl -s {base}/process/v1/quotes/validate -H "Authorization: Bearer $TOKEN" \\
     -H "Content-Type: application/json" -d @docs/walk/quote.json
2. Submit it, signed: it is approved by rule, booked in CRM, ERP, tax and billing
   curl -si {base}/process/v1/quotes -H "Authorization: Bearer $TOKEN" -H "Idempotency-Key: walk-1" \\
     -H "X-Correlation-Id: q2c-walk" -H "Content-Type: application/json" -d @docs/walk/submission.json
3. Read its story
   curl -s {base}/process/v1/transactions/q2c-walk -H "Authorization: Bearer $TOKEN"

The whole walk, from quote to cash, is in the README. Interrupt with Ctrl-C.
"""
