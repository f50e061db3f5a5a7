"""Every query of the API, one module per family of tables; the routes hold none."""
