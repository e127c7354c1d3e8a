"""A second module speaks SOAP."""

from zeep import AsyncClient
