"""The HTTP server: its socket, its limits on connections and requests, and its worker processes."""
