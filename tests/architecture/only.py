"""A contract that import-linter does not have: a package imports the named libraries and the standard library, and nothing else.

Its own `forbidden` contract needs a list of everything that is not allowed, which a new dependency would slip through.
"""

import sys
from typing import cast

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class OnlyContract(Contract):
    """`package` is the one that is bound; `libraries` are the top-level names that it and its modules may import."""

    package = fields.StringField()
    libraries = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Looks at every import out of the package."""
        package, libraries = cast(str, self.package), cast(list[str], self.libraries)  # import-linter puts values where fields stood
        allowed = {package, *libraries, *sys.stdlib_module_names}
        importers = {package, *graph.find_descendants(package)}
        found = [
            (importer, imported)
            for importer in sorted(importers)
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if imported.partition(".")[0] not in allowed
        ]
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Names who imports what."""
        for importer, imported in check.metadata["found"]:
            output.print_error(f"- {importer} -> {imported}")
