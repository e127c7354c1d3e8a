"""One vendor borrows from another."""

from system_apis.tryton import connector
