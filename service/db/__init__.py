"""The database: engine, transactions, tables. SQLite is the embedded default, PostgreSQL the production one."""
