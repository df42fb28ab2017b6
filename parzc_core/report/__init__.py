"""The paper beside us: comparison, tables, the report's page and the README's summary."""
