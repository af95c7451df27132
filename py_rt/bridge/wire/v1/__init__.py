"""Messages of the wire, version 1."""
