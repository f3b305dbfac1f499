//! Whether every way from a root ends at a leaf.

use super::super::{Attributes, Fault};
use super::nodes::{Child, Forest};

/// # Errors
/// When there are no trees.
pub(super) fn check_roots(attributes: &Attributes<'_>, forest: &Forest) -> Result<(), Fault> {
    match forest.roots.is_empty() {
        true => Err(attributes.fault("it has no trees")),
        false => Ok(()),
    }
}

/// Looks along every way once. Ways may meet again: converters write the test
/// of a set as a chain of nodes that lead to the same place.
///
/// # Errors
/// When one leads back to where it came from.
pub(super) fn check_ways(attributes: &Attributes<'_>, forest: &Forest) -> Result<(), Fault> {
    let mut states = vec![State::New; forest.ways.len()];
    let mut open: Vec<(usize, usize)> = Vec::new();
    for (tree, root) in forest.roots.iter().enumerate() {
        let enter = |child: &Child, states: &mut [State]| -> Result<Option<usize>, Fault> {
            let Child::Node(node) = *child else { return Ok(None) };
            let node = node as usize;
            match states[node] {
                State::Done => Ok(None),
                State::Open => {
                    Err(attributes.fault(format!("the nodes of its tree at place {tree} run in a circle")))
                }
                State::New => {
                    states[node] = State::Open;
                    Ok(Some(node))
                }
            }
        };
        open.extend(enter(root, &mut states)?.map(|node| (node, 0)));
        while let Some((node, way)) = open.pop() {
            let Some(child) = forest.ways[node].get(way) else {
                states[node] = State::Done;
                continue;
            };
            open.push((node, way + 1));
            open.extend(enter(child, &mut states)?.map(|node| (node, 0)));
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    /// A way through it is being looked along.
    Open,
    Done,
}
