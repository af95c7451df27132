//! The one graph that is allowed, and the tree attributes taken out of it.

use crate::error::InferenceError;
use crate::limits::MAX_FEATURES;
use crate::onnx::{Attribute, AttributeValue, DOUBLE, Dimension, FLOAT, Graph, Model, Node, Tensor};

const IR_VERSION: i64 = 8;
const OPSETS: [(&str, i64); 2] = [("", 15), ("ai.onnx.ml", 1)];
const INPUT: &str = "features";
const OUTPUT: &str = "p_up";
const SHAPE: &str = "TreeEnsembleRegressor -> Cast(double) -> Sigmoid -> Cast(float)";

/// What one node of the chain must be.
struct Step {
    op: &'static str,
    domain: &'static str,
    input: &'static str,
    output: &'static str,
}

const fn step(op: &'static str, domain: &'static str, input: &'static str, output: &'static str) -> Step {
    Step {
        op,
        domain,
        input,
        output,
    }
}

const STEPS: [Step; 4] = [
    step("TreeEnsembleRegressor", "ai.onnx.ml", INPUT, "raw_score"),
    step("Cast", "", "raw_score", "raw_score_f64"),
    step("Sigmoid", "", "raw_score_f64", "p_up_f64"),
    step("Cast", "", "p_up_f64", OUTPUT),
];

/// The attributes of the tree node as they stand in the file, types and presence checked, content not.
pub(crate) struct TreeAttributes<'a> {
    pub(crate) feature_count: usize,
    pub(crate) node_trees: Vec<i64>,
    pub(crate) node_ids: Vec<i64>,
    pub(crate) features: Vec<i64>,
    pub(crate) true_ids: Vec<i64>,
    pub(crate) false_ids: Vec<i64>,
    pub(crate) missing_true: Vec<i64>,
    pub(crate) modes: Vec<&'a [u8]>,
    pub(crate) values: Vec<f32>,
    pub(crate) target_trees: Vec<i64>,
    pub(crate) target_nodes: Vec<i64>,
    pub(crate) target_ids: Vec<i64>,
    pub(crate) weights: Vec<f32>,
}

/// The trees of a model and its metadata entries.
pub(crate) type Parts<'a> = (TreeAttributes<'a>, Vec<(&'a str, &'a str)>);

/// Checks everything but the trees' content.
pub(crate) fn check(model: Model<'_>) -> Result<Parts<'_>, InferenceError> {
    if model.ir_version != Some(IR_VERSION) {
        let found = format!("{:?}", model.ir_version);
        return Err(InferenceError::not_allowed(
            "ir_version",
            found,
            IR_VERSION.to_string(),
        ));
    }
    let mut opsets = model.opsets;
    opsets.sort_unstable();
    if opsets != OPSETS {
        return Err(InferenceError::not_allowed(
            "opset_import",
            format!("{opsets:?}"),
            format!("{OPSETS:?}"),
        ));
    }
    let Some(graph) = model.graph else {
        return Err(InferenceError::not_allowed(
            "ModelProto",
            "without a graph",
            SHAPE,
        ));
    };
    let feature_count = check_ends(&graph)?;
    let trees = check_chain(graph, feature_count)?;
    Ok((trees, model.metadata))
}

/// Input and output tensors; gives the number of features.
fn check_ends(graph: &Graph<'_>) -> Result<usize, InferenceError> {
    let output = width(only(&graph.outputs, "graph outputs", OUTPUT)?, OUTPUT)?;
    if output != Dimension::Fixed(1) {
        let found = format!("{output:?}");
        return Err(InferenceError::not_allowed("width of output p_up", found, "1"));
    }
    let input = width(only(&graph.inputs, "graph inputs", INPUT)?, INPUT)?;
    if let Dimension::Fixed(width) = input
        && let Ok(width) = usize::try_from(width)
        && (1..=MAX_FEATURES).contains(&width)
    {
        return Ok(width);
    }
    let allowed = format!("1 to {MAX_FEATURES}");
    Err(InferenceError::not_allowed(
        "width of input features",
        format!("{input:?}"),
        allowed,
    ))
}

fn only<'t, 'a>(
    tensors: &'t [Tensor<'a>],
    place: &str,
    name: &str,
) -> Result<&'t Tensor<'a>, InferenceError> {
    match tensors {
        [tensor] => Ok(tensor),
        _ => Err(InferenceError::not_allowed(
            place,
            tensors.len().to_string(),
            format!("one, {name:?}"),
        )),
    }
}

/// The second dimension of a float32 tensor `[any, width]` with the given name.
fn width(tensor: &Tensor<'_>, name: &str) -> Result<Dimension, InferenceError> {
    if let [Dimension::Any, width] = tensor.dimensions[..]
        && tensor.name == Some(name)
        && tensor.element == Some(FLOAT)
    {
        return Ok(width);
    }
    let found = format!(
        "{:?}, element type {:?}, shape {:?}",
        tensor.name, tensor.element, tensor.dimensions
    );
    let allowed = format!("{name:?}, element type 1 (FLOAT), shape [N, width]");
    Err(InferenceError::not_allowed(
        "graph input or output",
        found,
        allowed,
    ))
}

fn check_chain(graph: Graph<'_>, feature_count: usize) -> Result<TreeAttributes<'_>, InferenceError> {
    let ops: Vec<_> = graph.nodes.iter().map(|node| node.op.unwrap_or("")).collect();
    let refusal = InferenceError::not_allowed("the graph", ops.join(" -> "), SHAPE);
    let Ok(nodes) = <[Node<'_>; 4]>::try_from(graph.nodes) else {
        return Err(refusal);
    };
    for (index, (node, step)) in nodes.iter().zip(&STEPS).enumerate() {
        check_step(index, node, step)?;
    }
    let [trees, to_double, sigmoid, to_float] = nodes;
    check_cast(1, &to_double.attributes, DOUBLE)?;
    if let Some(extra) = sigmoid.attributes.first() {
        let found = format!("with attribute {:?}", extra.name);
        return Err(InferenceError::not_allowed(
            "node 2 (Sigmoid)",
            found,
            "no attribute",
        ));
    }
    check_cast(3, &to_float.attributes, FLOAT)?;
    tree_attributes(trees.attributes, feature_count)
}

fn check_step(index: usize, node: &Node<'_>, step: &Step) -> Result<(), InferenceError> {
    let domain = node.domain.unwrap_or("");
    let op = node.op.unwrap_or("");
    if op != step.op || domain != step.domain {
        return Err(InferenceError::not_allowed(
            format!("node {index}"),
            format!("{op:?} of domain {domain:?}"),
            format!("{:?} of domain {:?}; the graph is {SHAPE}", step.op, step.domain),
        ));
    }
    if node.inputs != [step.input] || node.outputs != [step.output] {
        return Err(InferenceError::not_allowed(
            format!("node {index} ({op})"),
            format!("{:?} -> {:?}", node.inputs, node.outputs),
            format!("[{:?}] -> [{:?}]", step.input, step.output),
        ));
    }
    Ok(())
}

fn check_cast(index: usize, attributes: &[Attribute<'_>], to: i64) -> Result<(), InferenceError> {
    if let [attribute] = attributes
        && attribute.name == "to"
        && let AttributeValue::Int(found) = attribute.value
        && found == to
    {
        return Ok(());
    }
    let found: Vec<_> = attributes
        .iter()
        .map(|attribute| match attribute.value {
            AttributeValue::Int(value) => format!("{} = {value}", attribute.name),
            _ => attribute.name.to_owned(),
        })
        .collect();
    Err(InferenceError::not_allowed(
        format!("node {index} (Cast)"),
        format!("with [{}]", found.join(", ")),
        format!("[to = {to}]"),
    ))
}

const TREE_ATTRIBUTES: &str = "n_targets, post_transform, nodes_falsenodeids, nodes_featureids, \
     nodes_missing_value_tracks_true, nodes_modes, nodes_nodeids, nodes_treeids, nodes_truenodeids, nodes_values, \
     target_ids, target_nodeids, target_treeids, target_weights";

/// Attributes still to be taken, each once.
struct Attributes<'a>(Vec<Attribute<'a>>);

impl<'a> Attributes<'a> {
    fn take(&mut self, name: &str) -> Result<AttributeValue<'a>, InferenceError> {
        match self.0.iter().position(|attribute| attribute.name == name) {
            Some(index) => Ok(self.0.swap_remove(index).value),
            None => Err(InferenceError::not_allowed(
                format!("attribute {name}"),
                "absent",
                "exactly one",
            )),
        }
    }

    fn ints(&mut self, name: &str) -> Result<Vec<i64>, InferenceError> {
        match self.take(name)? {
            AttributeValue::Ints(list) => Ok(list),
            _ => Err(wrong_type(name, "INTS")),
        }
    }

    fn floats(&mut self, name: &str) -> Result<Vec<f32>, InferenceError> {
        match self.take(name)? {
            AttributeValue::Floats(list) => Ok(list),
            _ => Err(wrong_type(name, "FLOATS")),
        }
    }

    fn texts(&mut self, name: &str) -> Result<Vec<&'a [u8]>, InferenceError> {
        match self.take(name)? {
            AttributeValue::Texts(list) => Ok(list),
            _ => Err(wrong_type(name, "STRINGS")),
        }
    }
}

fn wrong_type(name: &str, allowed: &str) -> InferenceError {
    InferenceError::not_allowed(format!("attribute {name}"), "of another type", allowed)
}

fn tree_attributes(
    attributes: Vec<Attribute<'_>>,
    feature_count: usize,
) -> Result<TreeAttributes<'_>, InferenceError> {
    let mut left = Attributes(attributes);
    if !matches!(left.take("n_targets")?, AttributeValue::Int(1)) {
        return Err(InferenceError::not_allowed(
            "attribute n_targets",
            "another value",
            "1",
        ));
    }
    if !matches!(left.take("post_transform")?, AttributeValue::Text(b"NONE")) {
        return Err(InferenceError::not_allowed(
            "attribute post_transform",
            "another value",
            "\"NONE\"",
        ));
    }
    let trees = TreeAttributes {
        feature_count,
        node_trees: left.ints("nodes_treeids")?,
        node_ids: left.ints("nodes_nodeids")?,
        features: left.ints("nodes_featureids")?,
        true_ids: left.ints("nodes_truenodeids")?,
        false_ids: left.ints("nodes_falsenodeids")?,
        missing_true: left.ints("nodes_missing_value_tracks_true")?,
        modes: left.texts("nodes_modes")?,
        values: left.floats("nodes_values")?,
        target_trees: left.ints("target_treeids")?,
        target_nodes: left.ints("target_nodeids")?,
        target_ids: left.ints("target_ids")?,
        weights: left.floats("target_weights")?,
    };
    if let Some(extra) = left.0.first() {
        return Err(InferenceError::not_allowed(
            "node 0 (TreeEnsembleRegressor)",
            format!("with attribute {:?}", extra.name),
            format!("each once: {TREE_ATTRIBUTES}"),
        ));
    }
    Ok(trees)
}
