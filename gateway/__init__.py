"""The roof: settings, roster, composition, command line. Imports all, imported by nobody."""
