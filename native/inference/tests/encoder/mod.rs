//! An encoder of small ONNX files, so that tests can write what an exporter never would; and the naive walk.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unreachable_pub, reason = "shared by test files through `mod`")]

/// Writes Protocol Buffers' wire format.
#[derive(Clone, Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    pub fn int(mut self, number: u64, value: i64) -> Self {
        self.raw_varint(number << 3);
        self.raw_varint(value.cast_unsigned());
        self
    }

    pub fn float(mut self, number: u64, value: f32) -> Self {
        self.raw_varint(number << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn bytes(mut self, number: u64, value: &[u8]) -> Self {
        self.raw_varint(number << 3 | 2);
        self.raw_varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    pub fn text(self, number: u64, value: &str) -> Self {
        self.bytes(number, value.as_bytes())
    }

    pub fn message(self, number: u64, value: &Writer) -> Self {
        self.bytes(number, &value.0)
    }
}

/// A node of a tree as the file lists it.
#[derive(Debug, Clone)]
pub enum TreeNode {
    Leaf(f32),
    Branch {
        feature: i64,
        value: f32,
        on_true: i64,
        on_false: i64,
        missing_true: bool,
    },
}

pub type Tree = Vec<TreeNode>;

/// The attribute lists of the tree node, open to any change.
#[derive(Debug, Clone, Default)]
pub struct Lists {
    pub node_trees: Vec<i64>,
    pub node_ids: Vec<i64>,
    pub features: Vec<i64>,
    pub true_ids: Vec<i64>,
    pub false_ids: Vec<i64>,
    pub missing_true: Vec<i64>,
    pub modes: Vec<String>,
    pub values: Vec<f32>,
    pub target_trees: Vec<i64>,
    pub target_nodes: Vec<i64>,
    pub target_ids: Vec<i64>,
    pub weights: Vec<f32>,
}

impl Lists {
    pub fn of(trees: &[Tree]) -> Self {
        let mut lists = Self::default();
        for (tree, nodes) in (0..).zip(trees) {
            for (id, node) in (0..).zip(nodes) {
                lists.node_trees.push(tree);
                lists.node_ids.push(id);
                lists.add(tree, id, node);
            }
        }
        lists
    }

    fn add(&mut self, tree: i64, id: i64, node: &TreeNode) {
        let (mode, feature, value, on_true, on_false, missing) = match *node {
            TreeNode::Leaf(weight) => {
                self.target_trees.push(tree);
                self.target_nodes.push(id);
                self.target_ids.push(0);
                self.weights.push(weight);
                ("LEAF", 0, 0.0, 0, 0, false)
            }
            TreeNode::Branch {
                feature,
                value,
                on_true,
                on_false,
                missing_true,
            } => ("BRANCH_LEQ", feature, value, on_true, on_false, missing_true),
        };
        self.modes.push(mode.to_owned());
        self.features.push(feature);
        self.values.push(value);
        self.true_ids.push(on_true);
        self.false_ids.push(on_false);
        self.missing_true.push(i64::from(missing));
    }

    /// The attributes in the file's order. `packed` writes numbers as one field per list.
    pub fn attributes(&self, packed: bool) -> Vec<Writer> {
        vec![
            attribute("n_targets", 2).int(3, 1),
            ints("nodes_falsenodeids", &self.false_ids, packed),
            ints("nodes_featureids", &self.features, packed),
            ints("nodes_missing_value_tracks_true", &self.missing_true, packed),
            self.modes
                .iter()
                .fold(attribute("nodes_modes", 8), |writer, mode| writer.text(9, mode)),
            ints("nodes_nodeids", &self.node_ids, packed),
            ints("nodes_treeids", &self.node_trees, packed),
            ints("nodes_truenodeids", &self.true_ids, packed),
            floats("nodes_values", &self.values, packed),
            attribute("post_transform", 3).text(4, "NONE"),
            ints("target_ids", &self.target_ids, packed),
            ints("target_nodeids", &self.target_nodes, packed),
            ints("target_treeids", &self.target_trees, packed),
            floats("target_weights", &self.weights, packed),
        ]
    }
}

pub fn attribute(name: &str, kind: i64) -> Writer {
    Writer::default().text(1, name).int(20, kind)
}

fn ints(name: &str, list: &[i64], packed: bool) -> Writer {
    let head = attribute(name, 7);
    if !packed {
        return list.iter().fold(head, |writer, &value| writer.int(8, value));
    }
    let mut body = Writer::default();
    for value in list {
        body.raw_varint(value.cast_unsigned());
    }
    head.message(8, &body)
}

fn floats(name: &str, list: &[f32], packed: bool) -> Writer {
    let head = attribute(name, 6);
    if !packed {
        return list.iter().fold(head, |writer, &value| writer.float(7, value));
    }
    let body: Vec<u8> = list.iter().flat_map(|value| value.to_le_bytes()).collect();
    head.bytes(7, &body)
}

pub fn node(op: &str, domain: &str, input: &str, output: &str, attributes: &[Writer]) -> Writer {
    let mut writer = Writer::default().text(1, input).text(2, output).text(4, op);
    for attribute in attributes {
        writer = writer.message(5, attribute);
    }
    if domain.is_empty() {
        writer
    } else {
        writer.text(7, domain)
    }
}

pub fn cast(input: &str, output: &str, to: i64) -> Writer {
    node("Cast", "", input, output, &[attribute("to", 2).int(3, to)])
}

pub fn tensor(name: &str, element: i64, width: i64) -> Writer {
    let any = Writer::default().text(2, "N");
    let fixed = Writer::default().int(1, width);
    let shape = Writer::default().message(1, &any).message(1, &fixed);
    let tensor = Writer::default().int(1, element).message(2, &shape);
    Writer::default()
        .text(1, name)
        .message(2, &Writer::default().message(1, &tensor))
}

/// A whole file in parts, each open to change before [`File::bytes`].
#[derive(Clone)]
pub struct File {
    pub ir_version: i64,
    pub opsets: Vec<(&'static str, i64)>,
    pub nodes: Vec<Writer>,
    pub inputs: Vec<Writer>,
    pub outputs: Vec<Writer>,
    pub metadata: Vec<(String, String)>,
    /// Fields added to the graph and to the model.
    pub graph_extra: Writer,
    pub model_extra: Writer,
}

impl File {
    pub fn new(width: usize, attributes: &[Writer]) -> Self {
        let names: Vec<_> = (0..width).map(|index| format!("\"f{index}\"")).collect();
        let wide = i64::try_from(width).expect("a width");
        let entry = |key: &str, value: String| (key.to_owned(), value);
        Self {
            ir_version: 8,
            opsets: vec![("", 15), ("ai.onnx.ml", 1)],
            nodes: vec![
                node(
                    "TreeEnsembleRegressor",
                    "ai.onnx.ml",
                    "features",
                    "raw_score",
                    attributes,
                ),
                cast("raw_score", "raw_score_f64", 11),
                node("Sigmoid", "", "raw_score_f64", "p_up_f64", &[]),
                cast("p_up_f64", "p_up", 1),
            ],
            inputs: vec![tensor("features", 1, wide)],
            outputs: vec![tensor("p_up", 1, 1)],
            metadata: vec![
                entry("feature_names", format!("[{}]", names.join(","))),
                entry("feature_spec_sha256", "ab".repeat(32)),
                entry("name", "example".to_owned()),
            ],
            graph_extra: Writer::default(),
            model_extra: Writer::default(),
        }
    }

    pub fn of(width: usize, trees: &[Tree]) -> Self {
        Self::new(width, &Lists::of(trees).attributes(false))
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut graph = Writer::default();
        for node in &self.nodes {
            graph = graph.message(1, node);
        }
        graph = graph.text(2, "py_rt_tree_ensemble");
        for input in &self.inputs {
            graph = graph.message(11, input);
        }
        for output in &self.outputs {
            graph = graph.message(12, output);
        }
        graph.0.extend(&self.graph_extra.0);
        let mut model = Writer::default()
            .int(1, self.ir_version)
            .text(2, "py_rt")
            .text(3, "");
        model = model.message(7, &graph);
        for (domain, version) in &self.opsets {
            model = model.message(8, &Writer::default().text(1, domain).int(2, *version));
        }
        for (key, value) in &self.metadata {
            model = model.message(14, &Writer::default().text(1, key).text(2, value));
        }
        model.0.extend(&self.model_extra.0);
        model.0
    }
}

/// Random numbers from a seed (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("a small number")
    }

    /// One of 257 numbers from -1 to 1, so that rows often lie on splits.
    pub fn coarse(&mut self) -> f32 {
        #[allow(clippy::cast_possible_truncation, reason = "257 steps are exact in float32")]
        let step = self.below(257) as f32;
        (step - 128.0) / 128.0
    }

    /// A number of full precision from -0.1 to 0.1.
    pub fn weight(&mut self) -> f32 {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "rounding is fine for a random number"
        )]
        let unit = (self.next() >> 11) as f64 as f32 / (1_u64 << 53) as f32;
        (unit - 0.5) / 5.0
    }

    /// A tree with this many leaves, grown at a random leaf each time, as a leaf-wise learner does.
    pub fn tree(&mut self, leaves: usize, width: usize) -> Tree {
        let mut tree = vec![TreeNode::Leaf(self.weight())];
        let mut open = vec![0];
        for _ in 1..leaves {
            let at = open.swap_remove(self.below(open.len()));
            let first = tree.len();
            tree[at] = TreeNode::Branch {
                feature: i64::try_from(self.below(width)).expect("a small number"),
                value: self.coarse(),
                on_true: i64::try_from(first).expect("a small number"),
                on_false: i64::try_from(first + 1).expect("a small number"),
                missing_true: self.below(2) == 1,
            };
            for place in [first, first + 1] {
                tree.push(TreeNode::Leaf(self.weight()));
                open.push(place);
            }
        }
        tree
    }

    pub fn row(&mut self, width: usize) -> Vec<f32> {
        (0..width).map(|_| self.coarse()).collect()
    }
}

/// The raw score by the definition: one tree after the other, one node after the other.
pub fn naive_raw_score(trees: &[Tree], row: &[f32]) -> f32 {
    let mut sum = 0.0_f32;
    for tree in trees {
        let mut at = 0;
        loop {
            match tree[at] {
                TreeNode::Leaf(weight) => {
                    sum += weight;
                    break;
                }
                TreeNode::Branch {
                    feature,
                    value,
                    on_true,
                    on_false,
                    missing_true,
                } => {
                    let x = row[usize::try_from(feature).expect("a feature")];
                    let yes = x <= value || (x.is_nan() && missing_true);
                    at = usize::try_from(if yes { on_true } else { on_false }).expect("a node");
                }
            }
        }
    }
    sum
}
