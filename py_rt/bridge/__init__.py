"""The bridge to a running service: its shared memory and its messages; the only room that knows ZeroMQ and protobuf."""
