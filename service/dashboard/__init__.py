"""The dashboard at `/`: a page that reads the public REST API in the browser."""
