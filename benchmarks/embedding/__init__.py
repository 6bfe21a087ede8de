"""How well and how fast the embedded engine embeds: retrieval quality, CPU, and a query's wait beside an ingestion."""
