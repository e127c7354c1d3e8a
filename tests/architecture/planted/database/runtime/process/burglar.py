"""The process engine writes SQL."""

from sqlalchemy import select
