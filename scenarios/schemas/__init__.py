"""Published JSON Schemas of the answers of the endpoints stats and status (docs/endpoints.md)."""
