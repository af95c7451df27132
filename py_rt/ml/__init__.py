"""Labels, validation without a look ahead, models, their export to ONNX; the only room with training libraries."""
