"""The machinery: bus, store, process engine, outgoing HTTP, telemetry. Knows messages and failures; no business noun, no vendor."""
