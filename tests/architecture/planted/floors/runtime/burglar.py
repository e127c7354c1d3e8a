"""The machinery reaches up to the roof."""

from gateway import roster
