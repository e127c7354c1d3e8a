"""A process decides for itself which policies run."""

from policies import enforce
