//! ONNX messages as plain values, each field either known and kept or refused by name.
//!
//! Field numbers: `onnx/onnx.proto` of ONNX 1.16 and later. What is not read here (initializers, so external data;
//! subgraphs; functions; training information; sparse tensors) has no meaning in an allowed model.

use crate::error::InferenceError;
use crate::limits::{MAX_ATTRIBUTES, MAX_ENTRIES, MAX_NODES};
use crate::protobuf::{Field, Message, push};

/// `TensorProto.DataType.FLOAT`.
pub(crate) const FLOAT: i64 = 1;
/// `TensorProto.DataType.DOUBLE`.
pub(crate) const DOUBLE: i64 = 11;

#[derive(Default)]
pub(crate) struct Model<'a> {
    pub(crate) ir_version: Option<i64>,
    pub(crate) opsets: Vec<(&'a str, i64)>,
    pub(crate) graph: Option<Graph<'a>>,
    pub(crate) metadata: Vec<(&'a str, &'a str)>,
}

#[derive(Default)]
pub(crate) struct Graph<'a> {
    pub(crate) nodes: Vec<Node<'a>>,
    pub(crate) inputs: Vec<Tensor<'a>>,
    pub(crate) outputs: Vec<Tensor<'a>>,
}

#[derive(Default)]
pub(crate) struct Node<'a> {
    pub(crate) op: Option<&'a str>,
    pub(crate) domain: Option<&'a str>,
    pub(crate) inputs: Vec<&'a str>,
    pub(crate) outputs: Vec<&'a str>,
    pub(crate) attributes: Vec<Attribute<'a>>,
}

pub(crate) struct Attribute<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: AttributeValue<'a>,
}

pub(crate) enum AttributeValue<'a> {
    Int(i64),
    Text(&'a [u8]),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Texts(Vec<&'a [u8]>),
}

#[derive(Default)]
pub(crate) struct Tensor<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) element: Option<i64>,
    pub(crate) dimensions: Vec<Dimension>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dimension {
    Fixed(i64),
    Any,
}

fn refused(message: &str, field: &Field<'_>, name: &str, allowed: &str) -> InferenceError {
    let name = if name.is_empty() { "unknown" } else { name };
    InferenceError::not_allowed(message, format!("with field {} ({name})", field.number), allowed)
}

pub(crate) fn read_model(bytes: &[u8]) -> Result<Model<'_>, InferenceError> {
    let mut model = Model::default();
    let mut message = Message::new(bytes, "ModelProto");
    while let Some(field) = message.next()? {
        match field.number {
            1 => field.set(&mut model.ir_version, field.int()?)?,
            2 | 3 => drop(field.text()?), // producer_name, producer_version: for people
            7 => field.set(&mut model.graph, read_graph(field.message("GraphProto")?)?)?,
            8 => {
                let opset = read_opset(field.message("OperatorSetIdProto")?)?;
                push(&mut model.opsets, opset, MAX_ENTRIES, "opset_import")?;
            }
            14 => {
                let entry = read_entry(field.message("StringStringEntryProto")?)?;
                push(&mut model.metadata, entry, MAX_ENTRIES, "metadata_props")?;
            }
            number => {
                let name = match number {
                    4 => "domain",
                    5 => "model_version",
                    6 => "doc_string",
                    20 => "training_info",
                    25 => "functions",
                    _ => "",
                };
                let allowed =
                    "ir_version, producer_name, producer_version, graph, opset_import, metadata_props";
                return Err(refused("ModelProto", &field, name, allowed));
            }
        }
    }
    Ok(model)
}

fn read_opset(mut message: Message<'_>) -> Result<(&str, i64), InferenceError> {
    let (mut domain, mut version) = (None, None);
    while let Some(field) = message.next()? {
        match field.number {
            1 => field.set(&mut domain, field.text()?)?,
            2 => field.set(&mut version, field.int()?)?,
            _ => return Err(refused("opset_import", &field, "", "domain, version")),
        }
    }
    Ok((domain.unwrap_or(""), version.unwrap_or(0)))
}

fn read_entry(mut message: Message<'_>) -> Result<(&str, &str), InferenceError> {
    let (mut key, mut value) = (None, None);
    while let Some(field) = message.next()? {
        match field.number {
            1 => field.set(&mut key, field.text()?)?,
            2 => field.set(&mut value, field.text()?)?,
            _ => return Err(refused("metadata_props", &field, "", "key, value")),
        }
    }
    Ok((key.unwrap_or(""), value.unwrap_or("")))
}

fn read_graph(mut message: Message<'_>) -> Result<Graph<'_>, InferenceError> {
    let mut graph = Graph::default();
    while let Some(field) = message.next()? {
        match field.number {
            1 => {
                let node = read_node(field.message("NodeProto")?)?;
                push(&mut graph.nodes, node, MAX_ENTRIES, "graph nodes")?;
            }
            2 => drop(field.text()?), // the graph's name: for people
            11 => {
                let tensor = read_tensor(field.message("ValueInfoProto")?)?;
                push(&mut graph.inputs, tensor, MAX_ENTRIES, "graph inputs")?;
            }
            12 => {
                let tensor = read_tensor(field.message("ValueInfoProto")?)?;
                push(&mut graph.outputs, tensor, MAX_ENTRIES, "graph outputs")?;
            }
            number => {
                let name = match number {
                    5 => "initializer, so maybe external data",
                    10 => "doc_string",
                    13 => "value_info",
                    14 => "quantization_annotation",
                    15 => "sparse_initializer",
                    16 => "metadata_props",
                    _ => "",
                };
                return Err(refused("GraphProto", &field, name, "node, name, input, output"));
            }
        }
    }
    Ok(graph)
}

fn read_node(mut message: Message<'_>) -> Result<Node<'_>, InferenceError> {
    let mut node = Node::default();
    while let Some(field) = message.next()? {
        match field.number {
            1 => push(&mut node.inputs, field.text()?, MAX_ENTRIES, "inputs of a node")?,
            2 => push(&mut node.outputs, field.text()?, MAX_ENTRIES, "outputs of a node")?,
            3 => drop(field.text()?), // the node's name: for people
            4 => field.set(&mut node.op, field.text()?)?,
            5 => {
                let attribute = read_attribute(field.message("AttributeProto")?)?;
                push(
                    &mut node.attributes,
                    attribute,
                    MAX_ATTRIBUTES,
                    "attributes of a node",
                )?;
            }
            7 => field.set(&mut node.domain, field.text()?)?,
            number => {
                let name = match number {
                    6 => "doc_string",
                    8 => "overload",
                    9 => "metadata_props",
                    10 => "device_configurations",
                    _ => "",
                };
                let allowed = "input, output, name, op_type, domain, attribute";
                return Err(refused("NodeProto", &field, name, allowed));
            }
        }
    }
    Ok(node)
}

/// Everything that an attribute may hold, before its type says which of it counts.
#[derive(Default)]
struct AttributeParts<'a> {
    name: Option<&'a str>,
    kind: Option<i64>,
    int: Option<i64>,
    text: Option<&'a [u8]>,
    floats: Vec<f32>,
    ints: Vec<i64>,
    texts: Vec<&'a [u8]>,
}

fn read_attribute(mut message: Message<'_>) -> Result<Attribute<'_>, InferenceError> {
    let mut parts = AttributeParts::default();
    while let Some(field) = message.next()? {
        match field.number {
            1 => field.set(&mut parts.name, field.text()?)?,
            3 => field.set(&mut parts.int, field.int()?)?,
            4 => field.set(&mut parts.text, field.bytes()?)?,
            7 => field.append_floats(&mut parts.floats, MAX_NODES, "floats of an attribute")?,
            8 => field.append_ints(&mut parts.ints, MAX_NODES, "ints of an attribute")?,
            9 => push(
                &mut parts.texts,
                field.bytes()?,
                MAX_NODES,
                "strings of an attribute",
            )?,
            20 => field.set(&mut parts.kind, field.int()?)?,
            number => {
                let name = match number {
                    2 => "f",
                    5 => "t: a tensor, so maybe external data",
                    6 => "g: a subgraph",
                    10 => "tensors",
                    11 => "graphs: subgraphs",
                    13 => "doc_string",
                    21 => "ref_attr_name",
                    22 | 23 => "a sparse tensor",
                    _ => "",
                };
                let allowed = "name, type, i, s, floats, ints, strings";
                return Err(refused("AttributeProto", &field, name, allowed));
            }
        }
    }
    typed(parts)
}

/// The one value that the type names; any other that is filled is refused.
fn typed(parts: AttributeParts<'_>) -> Result<Attribute<'_>, InferenceError> {
    let name = parts.name.unwrap_or("");
    let filled = usize::from(parts.int.is_some())
        + usize::from(parts.text.is_some())
        + usize::from(!parts.floats.is_empty())
        + usize::from(!parts.ints.is_empty())
        + usize::from(!parts.texts.is_empty());
    // AttributeType: INT 2, STRING 3, FLOATS 6, INTS 7, STRINGS 8.
    let (value, own) = match parts.kind {
        Some(2) if parts.int.is_some() => (AttributeValue::Int(parts.int.unwrap_or(0)), 1),
        Some(3) if parts.text.is_some() => (AttributeValue::Text(parts.text.unwrap_or(b"")), 1),
        Some(6) => {
            let own = usize::from(!parts.floats.is_empty());
            (AttributeValue::Floats(parts.floats), own)
        }
        Some(7) => {
            let own = usize::from(!parts.ints.is_empty());
            (AttributeValue::Ints(parts.ints), own)
        }
        Some(8) => {
            let own = usize::from(!parts.texts.is_empty());
            (AttributeValue::Texts(parts.texts), own)
        }
        kind => {
            let found = kind.map_or("without a type".to_owned(), |kind| {
                format!("of type {kind} without its value")
            });
            let allowed = "2 (INT), 3 (STRING), 6 (FLOATS), 7 (INTS), 8 (STRINGS) with its value";
            return Err(InferenceError::not_allowed(
                format!("attribute {name:?}"),
                found,
                allowed,
            ));
        }
    };
    if filled != own {
        let place = format!("attribute {name:?}");
        return Err(InferenceError::not_allowed(
            place,
            "filled with values of two types",
            "one type",
        ));
    }
    Ok(Attribute { name, value })
}

fn read_tensor(mut message: Message<'_>) -> Result<Tensor<'_>, InferenceError> {
    let mut tensor = Tensor::default();
    let mut has_type = None;
    while let Some(field) = message.next()? {
        match field.number {
            1 => field.set(&mut tensor.name, field.text()?)?,
            2 => {
                field.set(&mut has_type, ())?;
                read_type(field.message("TypeProto")?, &mut tensor)?;
            }
            _ => return Err(refused("ValueInfoProto", &field, "", "name, type")),
        }
    }
    Ok(tensor)
}

fn read_type(mut message: Message<'_>, tensor: &mut Tensor<'_>) -> Result<(), InferenceError> {
    let mut seen = None;
    while let Some(field) = message.next()? {
        if field.number != 1 {
            return Err(refused("TypeProto", &field, "", "tensor_type"));
        }
        field.set(&mut seen, ())?;
        let mut shape = None;
        let mut inner = field.message("TypeProto.Tensor")?;
        while let Some(field) = inner.next()? {
            match field.number {
                1 => field.set(&mut tensor.element, field.int()?)?,
                2 => {
                    field.set(&mut shape, ())?;
                    read_shape(field.message("TensorShapeProto")?, &mut tensor.dimensions)?;
                }
                _ => return Err(refused("TypeProto.Tensor", &field, "", "elem_type, shape")),
            }
        }
    }
    Ok(())
}

fn read_shape(mut message: Message<'_>, dimensions: &mut Vec<Dimension>) -> Result<(), InferenceError> {
    while let Some(field) = message.next()? {
        if field.number != 1 {
            return Err(refused("TensorShapeProto", &field, "", "dim"));
        }
        let mut dimension = None;
        let mut inner = field.message("TensorShapeProto.Dimension")?;
        while let Some(field) = inner.next()? {
            match field.number {
                1 => field.set(&mut dimension, Dimension::Fixed(field.int()?))?,
                2 => {
                    field.text()?;
                    field.set(&mut dimension, Dimension::Any)?;
                }
                _ => return Err(refused("a dimension", &field, "", "dim_value, dim_param")),
            }
        }
        push(
            dimensions,
            dimension.unwrap_or(Dimension::Any),
            MAX_ENTRIES,
            "dimensions of a tensor",
        )?;
    }
    Ok(())
}
