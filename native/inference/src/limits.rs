//! The named bounds of everything that a file may ask for.

/// Bytes of an ONNX file.
pub const MAX_FILE_BYTES: usize = 64 << 20;

/// Features of a row (a packed node holds the index in 16 bits).
pub const MAX_FEATURES: usize = 4_096;

/// Trees of a model.
pub const MAX_TREES: usize = 10_000;

/// Nodes of all trees, branches and leaves.
pub const MAX_NODES: usize = 1_000_000;

/// Nodes of one tree (a packed node holds its child's place in 16 bits).
pub const MAX_NODES_PER_TREE: usize = 32_767;

/// Branches between a root and a leaf.
pub const MAX_TREE_DEPTH: usize = 256;

/// Attributes of one graph node.
pub const MAX_ATTRIBUTES: usize = 16;

/// Inputs, outputs, metadata entries and operator sets: more than the contract has, so that the error can say which.
pub const MAX_ENTRIES: usize = 8;

/// Bytes of a model's name or of one feature's name.
pub const MAX_NAME_BYTES: usize = 256;

/// Rows that a golden file must have to prove something.
pub const MIN_GOLDEN_ROWS: usize = 1_000;

/// Rows that a golden file may have.
pub const MAX_GOLDEN_ROWS: usize = 1_000_000;

/// Units in the last place by which a probability may differ from ONNX Runtime's (its `exp` is another one).
pub const MAX_PROBABILITY_ULPS: u32 = 2;
