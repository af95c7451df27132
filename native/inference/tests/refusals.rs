//! What is outside the one allowed graph is refused with its place, what stands there and what may.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod encoder;

use encoder::{File, Lists, Random, Tree, TreeNode, Writer, attribute, cast, node, tensor};
use inference::{TreeModel, limits};
use proptest::prelude::*;

fn trees() -> Vec<Tree> {
    let mut random = Random(7);
    vec![random.tree(4, 3), random.tree(1, 3), random.tree(6, 3)]
}

fn file() -> File {
    File::of(3, &trees())
}

fn changed(change: impl FnOnce(&mut File)) -> Vec<u8> {
    let mut file = file();
    change(&mut file);
    file.bytes()
}

fn with_lists(change: impl FnOnce(&mut Lists)) -> Vec<u8> {
    let mut lists = Lists::of(&trees());
    change(&mut lists);
    File::new(3, &lists.attributes(false)).bytes()
}

fn with_attributes(change: impl FnOnce(&mut Vec<Writer>)) -> Vec<u8> {
    let mut attributes = Lists::of(&trees()).attributes(false);
    change(&mut attributes);
    File::new(3, &attributes).bytes()
}

fn add_leaf(lists: &mut Lists, tree: i64) {
    lists.target_trees.push(tree);
    lists.target_nodes.push(0);
    lists.target_ids.push(0);
    lists.weights.push(0.1);
}

#[track_caller]
fn refused(bytes: &[u8], parts: &[&str]) {
    let error = TreeModel::load(bytes).unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}

#[test]
fn the_unchanged_file_is_allowed_packed_or_not() {
    assert_eq!(TreeModel::load(&file().bytes()).unwrap().tree_count(), 3);
    let packed = File::new(3, &Lists::of(&trees()).attributes(true)).bytes();
    assert_eq!(TreeModel::load(&packed).unwrap().tree_count(), 3);
}

#[test]
fn versions_are_the_contracts() {
    refused(
        &changed(|f| f.ir_version = 11),
        &["ir_version is Some(11)", "allowed: 8"],
    );
    refused(
        &changed(|f| f.opsets[1].1 = 5),
        &["opset_import", "(\"ai.onnx.ml\", 5)"],
    );
    refused(
        &changed(|f| f.opsets.push(("com.example", 1))),
        &["opset_import", "com.example"],
    );
}

#[test]
fn only_the_four_nodes_are_allowed() {
    refused(
        &changed(|f| drop(f.nodes.pop())),
        &["the graph is", "Sigmoid; allowed: TreeEnsembleRegressor -> "],
    );
    refused(
        &changed(|f| f.nodes.swap(1, 2)),
        &["node 1 is \"Sigmoid\"", "\"Cast\""],
    );
    let custom = node("Sigmoid", "com.example", "raw_score_f64", "p_up_f64", &[]);
    refused(&changed(|f| f.nodes[2] = custom), &["node 2", "com.example"]);
    let unknown = node("Tanh", "", "raw_score_f64", "p_up_f64", &[]);
    refused(
        &changed(|f| f.nodes[2] = unknown),
        &["node 2 is \"Tanh\"", "Sigmoid"],
    );
    let wired = node("Sigmoid", "", "features", "p_up_f64", &[]);
    refused(
        &changed(|f| f.nodes[2] = wired),
        &["node 2 (Sigmoid)", "[\"features\"]"],
    );
    refused(
        &changed(|f| f.nodes[1] = cast("raw_score", "raw_score_f64", 10)),
        &["node 1 (Cast)", "to = 10", "to = 11"],
    );
    let many = changed(|f| f.nodes = vec![f.nodes[2].clone(); 9]);
    refused(&many, &["graph nodes: 9 or more; at most 8"]);
}

#[test]
fn inputs_and_outputs_are_the_contracts() {
    refused(
        &changed(|f| f.inputs[0] = tensor("features", 11, 3)),
        &["element type Some(11)", "FLOAT"],
    );
    refused(
        &changed(|f| f.inputs[0] = tensor("x", 1, 3)),
        &["Some(\"x\")", "\"features\""],
    );
    refused(
        &changed(|f| f.inputs[0] = tensor("features", 1, 0)),
        &["width of input features is Fixed(0)"],
    );
    refused(
        &changed(|f| f.inputs[0] = tensor("features", 1, 1 << 40)),
        &["1 to 4096"],
    );
    refused(
        &changed(|f| f.outputs[0] = tensor("p_up", 1, 2)),
        &["width of output p_up is Fixed(2)"],
    );
    refused(
        &changed(|f| f.outputs.push(tensor("raw_score", 1, 1))),
        &["graph outputs is 2"],
    );
}

#[test]
fn external_data_subgraphs_and_functions_are_refused_by_name() {
    let extra = |number| Writer::default().bytes(number, b"");
    refused(
        &changed(|f| f.graph_extra = extra(5)),
        &["GraphProto is with field 5", "external data"],
    );
    refused(&changed(|f| f.graph_extra = extra(15)), &["sparse_initializer"]);
    refused(
        &changed(|f| f.model_extra = extra(25)),
        &["ModelProto is with field 25 (functions)"],
    );
    refused(&changed(|f| f.model_extra = extra(20)), &["training_info"]);
    refused(
        &with_attributes(|a| a.push(attribute("body", 5).bytes(6, b""))),
        &["g: a subgraph"],
    );
    refused(
        &with_attributes(|a| a.push(attribute("t", 4).bytes(5, b""))),
        &["a tensor, so maybe external data"],
    );
    refused(
        &changed(|f| f.model_extra = Writer::default().int(1, 8)),
        &["stands twice"],
    );
}

#[test]
fn tree_attributes_are_each_there_once_and_no_other() {
    refused(
        &with_attributes(|a| drop(a.pop())),
        &["attribute target_weights is absent"],
    );
    refused(
        &with_attributes(|a| a.push(attribute("base_values", 6).float(7, 0.5))),
        &["base_values", "each once: n_targets"],
    );
    refused(
        &with_attributes(|a| a.push(a[0].clone())),
        &["with attribute \"n_targets\""],
    );
    refused(
        &with_attributes(|a| a[0] = attribute("n_targets", 2).int(3, 2)),
        &["n_targets", "allowed: 1"],
    );
    let logistic = attribute("post_transform", 3).text(4, "LOGISTIC");
    refused(
        &with_attributes(|a| a[9] = logistic),
        &["post_transform", "\"NONE\""],
    );
    refused(
        &with_attributes(|a| a[2] = attribute("nodes_featureids", 6).float(7, 1.0)),
        &["nodes_featureids", "INTS"],
    );
    let both = attribute("n_targets", 2).int(3, 1).text(4, "x");
    refused(&with_attributes(|a| a[0] = both), &["values of two types"]);
    refused(
        &with_attributes(|a| a[0] = Writer::default().text(1, "n_targets").int(3, 1)),
        &["without a type"],
    );
    let many = with_attributes(|a| a.extend(vec![attribute("x", 2).int(3, 1); 3]));
    refused(&many, &["attributes of a node: 17 or more; at most 16"]);
}

#[test]
fn a_tree_that_is_none_is_refused_with_its_node() {
    refused(
        &with_lists(|l| l.true_ids[0] = 0),
        &["tree 0, node 0", "two parents or is the root"],
    );
    refused(
        &with_lists(|l| l.true_ids[0] = l.false_ids[0]),
        &["tree 0, node 0", "two parents"],
    );
    refused(&with_lists(|l| l.true_ids[0] = 99), &["tree 0, node 0: child 99"]);
    refused(&with_lists(|l| l.true_ids[0] = -1), &["child -1"]);
    refused(
        &with_lists(|l| l.features[0] = 3),
        &["tree 0, node 0: feature 3 of 3"],
    );
    refused(&with_lists(|l| l.features[0] = -1), &["feature -1 of 3"]);
    refused(&with_lists(|l| l.values[0] = f32::NAN), &["split value NaN"]);
    refused(
        &with_lists(|l| l.missing_true[0] = 2),
        &["missing_value_tracks_true 2"],
    );
    refused(
        &with_lists(|l| l.modes[0] = "BRANCH_LT".to_owned()),
        &["mode \"BRANCH_LT\"", "BRANCH_LEQ, LEAF"],
    );
    refused(
        &with_lists(|l| l.modes[0] = "LEAF".to_owned()),
        &["tree 0, node 0: a leaf without a weight"],
    );
}

#[test]
fn leaf_weights_and_ids_that_do_not_fit_their_tree_are_refused() {
    refused(
        &with_lists(|l| l.weights[1] = f32::INFINITY),
        &["leaf weight inf"],
    );
    refused(&with_lists(|l| l.weights[1] = 3e38), &["the largest raw score"]);
    refused(&with_lists(|l| l.target_ids[1] = 1), &["target id 1"]);
    refused(
        &with_lists(|l| l.target_nodes[1] = l.target_nodes[0]),
        &["two leaf weights"],
    );
    refused(&with_lists(|l| l.target_nodes[1] = 99), &["names node 99"]);
    refused(
        &with_lists(|l| l.target_nodes[0] = 0),
        &["a branch with a weight"],
    );
    refused(
        &with_lists(|l| l.target_trees[4] = 9),
        &["a leaf without a weight"],
    );
    refused(
        &with_lists(|l| add_leaf(l, 9)),
        &["target_treeids is 9", "ascending"],
    );
    refused(
        &with_lists(|l| l.node_ids[1] = 5),
        &["tree 0, node 1: its id is 5"],
    );
    refused(
        &with_lists(|l| l.node_trees[0] = 1),
        &["nodes_treeids is 1 at entry 0"],
    );
    refused(
        &with_lists(|l| l.values.truncate(18)),
        &["nodes_values is a list of 18", "19 entries"],
    );
    refused(&File::of(3, &[]).bytes(), &["nodes_treeids is empty"]);
    let unreached = [vec![TreeNode::Leaf(1.0), TreeNode::Leaf(2.0)]];
    refused(
        &File::of(3, &unreached).bytes(),
        &["tree 0, node 1: not reached from the root"],
    );
}

/// A tree that goes down on its false side only.
fn chain(depth: i64) -> Tree {
    let branch = |level: i64| TreeNode::Branch {
        feature: 0,
        value: 0.5,
        on_true: 2 * level + 1,
        on_false: 2 * level + 2,
        missing_true: false,
    };
    let mut tree: Tree = (0..depth)
        .flat_map(|level| [branch(level), TreeNode::Leaf(0.1)])
        .collect();
    tree.push(TreeNode::Leaf(0.2));
    tree
}

#[test]
fn bounds_hold_at_the_bound_and_one_beyond() {
    let deepest = i64::try_from(limits::MAX_TREE_DEPTH).unwrap();
    assert!(TreeModel::load(&File::of(1, &[chain(deepest)]).bytes()).is_ok());
    refused(
        &File::of(1, &[chain(deepest + 1)]).bytes(),
        &["tree 0, node 512: deeper than 256"],
    );
    let trees = vec![vec![TreeNode::Leaf(0.0)]; limits::MAX_TREES + 1];
    assert!(TreeModel::load(&File::of(1, &trees[1..]).bytes()).is_ok());
    refused(
        &File::of(1, &trees).bytes(),
        &["trees: 10001 or more; at most 10000"],
    );
    let wide = vec![vec![TreeNode::Leaf(0.0); limits::MAX_NODES_PER_TREE + 1]];
    refused(
        &File::of(1, &wide).bytes(),
        &["nodes of a tree: 32768 or more; at most 32767"],
    );
    let ids = vec![0; limits::MAX_NODES + 1];
    let lists = Lists {
        node_trees: ids,
        ..Lists::default()
    };
    refused(
        &File::new(1, &lists.attributes(true)).bytes(),
        &["ints of an attribute: 1000001 or more"],
    );
    refused(
        &vec![0; limits::MAX_FILE_BYTES + 1],
        &["bytes of the file: 67108865 or more; at most 67108864"],
    );
}

#[test]
fn metadata_are_the_three_entries() {
    refused(
        &changed(|f| drop(f.metadata.pop())),
        &["metadata_props", "exactly feature_names"],
    );
    refused(
        &changed(|f| f.metadata.push(f.metadata[0].clone())),
        &["metadata_props"],
    );
    refused(
        &changed(|f| f.metadata[0].1 = "[\"a\",\"b\"]".to_owned()),
        &["a list of 2 names", "3 names"],
    );
    refused(
        &changed(|f| f.metadata[0].1 = "a,b,c".to_owned()),
        &["feature_names is \"a,b,c\"", "JSON list"],
    );
    refused(
        &changed(|f| f.metadata[1].1 = "AB".repeat(32)),
        &["64 lower-case hex digits"],
    );
    refused(&changed(|f| f.metadata[2].1.clear()), &["metadata name"]);
}

#[test]
fn every_truncation_is_refused() {
    let bytes = file().bytes();
    for end in 0..bytes.len() {
        assert!(
            TreeModel::load(&bytes[..end]).is_err(),
            "{end} of {} bytes",
            bytes.len()
        );
    }
}

/// A damaged file is refused, or still is a model that scores without a panic.
fn try_to_score(bytes: &[u8]) {
    use engine::signals::Model;
    if let Ok(mut model) = TreeModel::load(bytes) {
        let row = vec![0.25; model.feature_count()];
        assert!(model.score(&row).raw.is_finite());
    }
}

#[test]
fn no_flipped_bit_makes_a_panic() {
    let mut bytes = file().bytes();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            try_to_score(&bytes);
            bytes[at] ^= 1 << bit;
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        try_to_score(&bytes);
    }

    #[test]
    fn no_damage_makes_a_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12)) {
        let mut bytes = file().bytes();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        try_to_score(&bytes);
    }
}
