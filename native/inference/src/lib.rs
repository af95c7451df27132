//! The only crate that evaluates models; the place where ONNX Runtime would be linked.
