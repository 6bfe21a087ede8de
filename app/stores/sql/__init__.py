"""Documents, jobs and sessions in a relational database: SQLite, or PostgreSQL by URL."""
