//! Trees as packed nodes, and the walk through eight of them at a time.
//!
//! A branch mispredicted costs more than a comparison, so the walk has none that depends on data: a child's place is
//! computed, a leaf leads to itself, and eight independent trees hide each other's memory latency. Trees of similar
//! depth share a group; their leaf weights are then added in tree order, as ONNX Runtime adds them on one thread.

use crate::error::InferenceError;
use crate::graph::TreeAttributes;
use crate::limits::{MAX_NODES_PER_TREE, MAX_TREE_DEPTH, MAX_TREES};

/// Trees walked at a time.
const LANES: usize = 8;

/// A branch: `x > threshold` goes to `next + 1`, otherwise to `next`. A leaf: threshold +infinity, `next` is itself.
#[derive(Debug, Clone, Copy)]
struct Node {
    threshold: f32,
    feature: u16,
    next: u16,
}

/// Eight trees of similar depth; lanes without a tree repeat the first and write where nobody reads.
#[derive(Debug, Clone, Copy)]
struct Group {
    bases: [u32; LANES],
    trees: [u32; LANES],
    depth: u32,
}

/// All trees of a model.
#[derive(Debug, Clone)]
pub(crate) struct Forest {
    nodes: Vec<Node>,
    /// The leaf's weight at the same place as its node; 0 for branches.
    weights: Vec<f32>,
    /// Whether NaN goes to the true child; always so at a leaf.
    missing_true: Vec<bool>,
    groups: Vec<Group>,
    /// One weight per tree, filled by the walk, and one more for lanes without a tree.
    reached: Vec<f32>,
}

impl Forest {
    pub(crate) fn tree_count(&self) -> usize {
        self.reached.len() - 1
    }

    /// The raw score of a row: float32 additions from +0.0 in tree order.
    pub(crate) fn raw_score(&mut self, row: &[f32]) -> f32 {
        if row.iter().any(|value| value.is_nan()) {
            self.walk(|node, place, missing_true| {
                let value = row[usize::from(node.feature)];
                let beyond = if value.is_nan() {
                    !missing_true[place]
                } else {
                    value > node.threshold
                };
                usize::from(node.next) + usize::from(beyond)
            });
        } else {
            self.walk(|node, _, _| {
                usize::from(node.next) + usize::from(row[usize::from(node.feature)] > node.threshold)
            });
        }
        self.reached[..self.tree_count()]
            .iter()
            .fold(0.0, |sum, weight| sum + weight)
    }

    fn walk(&mut self, child: impl Fn(Node, usize, &[bool]) -> usize) {
        let nodes = self.nodes.as_slice();
        for group in &self.groups {
            let bases = group.bases.map(|base| base as usize);
            let mut places = bases;
            for _ in 0..group.depth {
                for (place, base) in places.iter_mut().zip(bases) {
                    *place = base + child(nodes[*place], *place, &self.missing_true);
                }
            }
            for (place, tree) in places.into_iter().zip(group.trees) {
                self.reached[tree as usize] = self.weights[place];
            }
        }
    }

    /// Checks the trees and packs them.
    pub(crate) fn compile(trees: &TreeAttributes<'_>) -> Result<Self, InferenceError> {
        check_lengths(trees)?;
        let mut forest = Self {
            nodes: Vec::with_capacity(trees.node_trees.len()),
            weights: Vec::with_capacity(trees.node_trees.len()),
            missing_true: Vec::with_capacity(trees.node_trees.len()),
            groups: Vec::new(),
            reached: Vec::new(),
        };
        let (mut node_start, mut target_start) = (0, 0);
        let mut roots = Vec::new();
        let mut largest_sum = 0.0_f64;
        while node_start < trees.node_trees.len() {
            let tree = roots.len();
            if tree == MAX_TREES {
                return Err(InferenceError::TooMany {
                    place: "trees",
                    count: tree + 1,
                    limit: MAX_TREES,
                });
            }
            let nodes = same_tree(&trees.node_trees, node_start, tree);
            let targets = same_tree(&trees.target_trees, target_start, tree);
            let source = Source::new(trees, tree, node_start..nodes, target_start..targets)?;
            let base = forest.nodes.len();
            let depth = forest.add_tree(&source)?;
            let largest = forest.weights[base..]
                .iter()
                .fold(0.0_f32, |most, weight| most.max(weight.abs()));
            largest_sum += f64::from(largest);
            roots.push((depth, index32(base), index32(tree)));
            (node_start, target_start) = (nodes, targets);
        }
        if target_start != trees.target_trees.len() {
            return Err(InferenceError::not_allowed(
                "target_treeids",
                format!("{} at entry {target_start}", trees.target_trees[target_start]),
                "ascending ids of trees that have nodes",
            ));
        }
        // Half of what float32 holds: rounding cannot carry any sum to infinity, so every raw score is finite.
        if largest_sum > f64::from(f32::MAX) / 2.0 {
            return Err(InferenceError::not_allowed(
                "the largest raw score",
                format!("{largest_sum:e}"),
                format!("{:e}", f32::MAX / 2.0),
            ));
        }
        forest.group(roots);
        Ok(forest)
    }

    /// Adds one tree, children side by side, level by level; gives its depth.
    fn add_tree(&mut self, source: &Source<'_, '_>) -> Result<u32, InferenceError> {
        let base = self.nodes.len();
        // Node ids in the order of their places, with their levels. Every node is placed once: no cycle, no sharing.
        let mut placed = vec![(0_usize, 0_u32)];
        let mut seen = vec![false; source.len()];
        seen[0] = true;
        let mut depth = 0;
        let mut place = 0;
        while place < placed.len() {
            let (id, level) = placed[place];
            depth = depth.max(level);
            let node = match source.node(id)? {
                Kind::Leaf(weight) => {
                    self.weights.push(weight);
                    self.missing_true.push(true);
                    Node {
                        threshold: f32::INFINITY,
                        feature: 0,
                        next: index16(place),
                    }
                }
                Kind::Branch(branch) => {
                    if level as usize == MAX_TREE_DEPTH {
                        return Err(source.fault(
                            id,
                            format!("deeper than {MAX_TREE_DEPTH}"),
                            "a shallower tree",
                        ));
                    }
                    self.weights.push(0.0);
                    self.missing_true.push(branch.missing_true);
                    let next = index16(placed.len());
                    for child in [branch.on_true, branch.on_false] {
                        if std::mem::replace(&mut seen[child], true) {
                            let fault = format!("child {child} has two parents or is the root");
                            return Err(source.fault(id, fault, "a tree from root 0"));
                        }
                        placed.push((child, level + 1));
                    }
                    Node {
                        threshold: branch.threshold,
                        feature: branch.feature,
                        next,
                    }
                }
            };
            self.nodes.push(node);
            place += 1;
        }
        debug_assert_eq!(self.nodes.len() - base, placed.len());
        match seen.iter().position(|&seen| !seen) {
            None => Ok(depth),
            Some(id) => Err(source.fault(id, "not reached from the root".to_owned(), "a tree from root 0")),
        }
    }

    /// Puts trees of similar depth together.
    fn group(&mut self, mut roots: Vec<(u32, u32, u32)>) {
        let spare = index32(roots.len());
        self.reached = vec![0.0; roots.len() + 1];
        roots.sort_unstable();
        for chunk in roots.chunks(LANES) {
            let mut group = Group {
                bases: [chunk[0].1; LANES],
                trees: [spare; LANES],
                depth: 0,
            };
            for (lane, &(depth, base, tree)) in chunk.iter().enumerate() {
                group.bases[lane] = base;
                group.trees[lane] = tree;
                group.depth = group.depth.max(depth);
            }
            self.groups.push(group);
        }
    }
}

fn index16(place: usize) -> u16 {
    u16::try_from(place).expect("a tree has at most MAX_NODES_PER_TREE nodes")
}

fn index32(place: usize) -> u32 {
    u32::try_from(place).expect("a model has at most MAX_NODES nodes")
}

/// Where the run of entries with this tree id that begins at `start` ends.
fn same_tree(ids: &[i64], start: usize, tree: usize) -> usize {
    let run = ids[start..]
        .iter()
        .take_while(|&&id| usize::try_from(id) == Ok(tree))
        .count();
    start + run
}

fn check_lengths(trees: &TreeAttributes<'_>) -> Result<(), InferenceError> {
    let nodes = trees.node_trees.len();
    let targets = trees.target_trees.len();
    for (name, length, wanted) in [
        ("nodes_nodeids", trees.node_ids.len(), nodes),
        ("nodes_featureids", trees.features.len(), nodes),
        ("nodes_truenodeids", trees.true_ids.len(), nodes),
        ("nodes_falsenodeids", trees.false_ids.len(), nodes),
        ("nodes_missing_value_tracks_true", trees.missing_true.len(), nodes),
        ("nodes_modes", trees.modes.len(), nodes),
        ("nodes_values", trees.values.len(), nodes),
        ("target_nodeids", trees.target_nodes.len(), targets),
        ("target_ids", trees.target_ids.len(), targets),
        ("target_weights", trees.weights.len(), targets),
    ] {
        if length != wanted {
            let found = format!("a list of {length}");
            let allowed = format!("{wanted} entries, as many as its *_treeids");
            return Err(InferenceError::not_allowed(
                format!("attribute {name}"),
                found,
                allowed,
            ));
        }
    }
    if nodes == 0 {
        return Err(InferenceError::not_allowed(
            "nodes_treeids",
            "empty",
            "at least one tree",
        ));
    }
    Ok(())
}

enum Kind {
    Leaf(f32),
    Branch(Branch),
}

struct Branch {
    feature: u16,
    threshold: f32,
    on_true: usize,
    on_false: usize,
    missing_true: bool,
}

/// One tree of the attribute lists.
struct Source<'t, 'a> {
    trees: &'t TreeAttributes<'a>,
    tree: usize,
    start: usize,
    /// By node id: the weight of a leaf that has one.
    leaves: Vec<Option<f32>>,
}

impl<'t, 'a> Source<'t, 'a> {
    fn new(
        trees: &'t TreeAttributes<'a>,
        tree: usize,
        nodes: std::ops::Range<usize>,
        targets: std::ops::Range<usize>,
    ) -> Result<Self, InferenceError> {
        if nodes.is_empty() {
            return Err(InferenceError::not_allowed(
                "nodes_treeids",
                format!("{} at entry {}", trees.node_trees[nodes.start], nodes.start),
                format!("{tree}: ids ascend from 0 without a gap, the nodes of a tree stand together"),
            ));
        }
        if nodes.len() > MAX_NODES_PER_TREE {
            return Err(InferenceError::TooMany {
                place: "nodes of a tree",
                count: nodes.len(),
                limit: MAX_NODES_PER_TREE,
            });
        }
        let mut source = Self {
            trees,
            tree,
            start: nodes.start,
            leaves: vec![None; nodes.len()],
        };
        for (node, &id) in trees.node_ids[nodes].iter().enumerate() {
            if usize::try_from(id) != Ok(node) {
                return Err(source.fault(
                    node,
                    format!("its id is {id}"),
                    "ids ascending from 0 without a gap",
                ));
            }
        }
        for entry in targets {
            source.add_leaf(entry)?;
        }
        Ok(source)
    }

    fn add_leaf(&mut self, entry: usize) -> Result<(), InferenceError> {
        let id = self.trees.target_nodes[entry];
        let weight = self.trees.weights[entry];
        let Some(node) = usize::try_from(id).ok().filter(|&node| node < self.len()) else {
            let fault = format!("target_nodeids entry {entry} names node {id}");
            return Err(self.fault(0, fault, "a leaf of the same tree"));
        };
        if self.trees.target_ids[entry] != 0 {
            let fault = format!("target id {}", self.trees.target_ids[entry]);
            return Err(self.fault(node, fault, "target id 0"));
        }
        if !weight.is_finite() {
            return Err(self.fault(node, format!("leaf weight {weight}"), "a finite weight"));
        }
        if self.leaves[node].replace(weight).is_some() {
            return Err(self.fault(node, "two leaf weights".to_owned(), "one weight per leaf"));
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.leaves.len()
    }

    fn node(&self, id: usize) -> Result<Kind, InferenceError> {
        let at = self.start + id;
        match (self.trees.modes[at], self.leaves[id]) {
            (b"LEAF", Some(weight)) => Ok(Kind::Leaf(weight)),
            (b"LEAF", None) => {
                Err(self.fault(id, "a leaf without a weight".to_owned(), "one weight per leaf"))
            }
            (b"BRANCH_LEQ", None) => self.branch(id).map(Kind::Branch),
            (b"BRANCH_LEQ", Some(_)) => {
                Err(self.fault(id, "a branch with a weight".to_owned(), "weights at leaves"))
            }
            (mode, _) => {
                let mode: Vec<u8> = mode.iter().copied().take(32).collect();
                let fault = format!("mode {:?}", String::from_utf8_lossy(&mode));
                Err(self.fault(id, fault, "BRANCH_LEQ, LEAF"))
            }
        }
    }

    fn branch(&self, id: usize) -> Result<Branch, InferenceError> {
        let at = self.start + id;
        let threshold = self.trees.values[at];
        if !threshold.is_finite() {
            return Err(self.fault(id, format!("split value {threshold}"), "a finite split value"));
        }
        let feature = self.trees.features[at];
        let known = u16::try_from(feature).ok();
        let Some(feature) = known.filter(|&feature| usize::from(feature) < self.trees.feature_count) else {
            let fault = format!("feature {feature} of {}", self.trees.feature_count);
            return Err(self.fault(id, fault, "0 to the input's width - 1"));
        };
        let missing_true = match self.trees.missing_true[at] {
            0 => false,
            1 => true,
            other => return Err(self.fault(id, format!("missing_value_tracks_true {other}"), "0, 1")),
        };
        Ok(Branch {
            feature,
            threshold,
            on_true: self.child(id, self.trees.true_ids[at])?,
            on_false: self.child(id, self.trees.false_ids[at])?,
            missing_true,
        })
    }

    fn child(&self, id: usize, child: i64) -> Result<usize, InferenceError> {
        let known = usize::try_from(child).ok();
        known
            .filter(|&child| child < self.len())
            .ok_or_else(|| self.fault(id, format!("child {child}"), "a node of the same tree"))
    }

    fn fault(&self, node: usize, fault: String, allowed: &'static str) -> InferenceError {
        InferenceError::Tree {
            tree: self.tree,
            node,
            fault,
            allowed,
        }
    }
}
