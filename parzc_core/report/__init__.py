"""The paper beside us: comparison, tables, the report's page and what READMEs say of the results."""
