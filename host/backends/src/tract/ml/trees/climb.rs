//! The way from the root of a tree to a leaf.

use super::Number;
use crate::onnx::learned::{Child, Forest, Mode};

/// All nodes of all trees.
#[derive(Debug)]
pub(super) struct Grove<T> {
    nodes: Vec<Node<T>>,
    roots: Vec<u32>,
    test: Test,
    sets: Vec<Vec<f64>>,
    /// How many features a row must have.
    width: usize,
}

/// A node. Where its ways lead is an index of a node or, with the highest bit, of a
/// leaf: leaves are no nodes.
#[derive(Debug, Clone, Copy)]
struct Node<T> {
    split: T,
    /// Which feature is compared; the highest bit says that what is not a number
    /// counts as true.
    feature: u32,
    yes: u32,
    no: u32,
}

/// How the nodes compare.
#[derive(Debug)]
enum Test {
    /// All of them with `<=`, none knows what is missing.
    LessOrEqual,
    /// All of them with `<=`.
    LessOrEqualOrMissing,
    /// All of them with `<`.
    LessOrMissing,
    /// Each in its own way.
    Each(Vec<Mode>),
}

const LEAF: u32 = 1 << 31;

/// The bit of a feature.
const MISSING: u32 = 1 << 31;

/// Ways that are followed side by side.
const LANES: usize = 8;

impl<T: Number> Grove<T> {
    pub(super) fn plant(forest: &Forest) -> Self {
        let code = |child: &Child| match *child {
            Child::Node(index) => index,
            Child::Leaf(index) => index | LEAF,
        };
        let node = |index: usize| Node {
            split: T::of(forest.splits.number(index)),
            feature: forest.features[index] | if forest.missing_is_true[index] { MISSING } else { 0 },
            yes: code(&forest.ways[index][0]),
            no: code(&forest.ways[index][1]),
        };
        let all = |mode: Mode| forest.modes.iter().all(|&other| other == mode);
        let knows_missing = forest.missing_is_true.contains(&true);
        let test = if all(Mode::LessOrEqual) && !knows_missing {
            Test::LessOrEqual
        } else if all(Mode::LessOrEqual) {
            Test::LessOrEqualOrMissing
        } else if all(Mode::Less) {
            Test::LessOrMissing
        } else {
            Test::Each(forest.modes.clone())
        };
        Self {
            nodes: (0..forest.ways.len()).map(node).collect(),
            roots: forest.roots.iter().map(code).collect(),
            test,
            sets: forest.sets.clone(),
            width: forest.last_feature().map_or(0, |last| last + 1),
        }
    }

    pub(super) fn trees(&self) -> usize {
        self.roots.len()
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn bytes(&self) -> usize {
        self.nodes.len() * size_of::<Node<T>>() + self.roots.len() * 4
    }

    /// Tells every row's leaf in every tree; a row's in the order of the trees.
    pub(super) fn each_leaf(&self, values: &[T], width: usize, rows: usize, tell: impl FnMut(usize, usize)) {
        match &self.test {
            Test::LessOrEqual => self.climb(values, width, rows, |_, node, value| value <= node.split, tell),
            Test::LessOrEqualOrMissing => {
                self.climb(
                    values,
                    width,
                    rows,
                    |_, node, value| value <= node.split || node.misses(value),
                    tell,
                );
            }
            Test::LessOrMissing => {
                self.climb(
                    values,
                    width,
                    rows,
                    |_, node, value| value < node.split || node.misses(value),
                    tell,
                );
            }
            Test::Each(modes) => {
                let test = |at: usize, node: &Node<T>, value: T| self.test(modes[at], node, value);
                self.climb(values, width, rows, test, tell);
            }
        }
    }

    fn test(&self, mode: Mode, node: &Node<T>, value: T) -> bool {
        let holds = match mode {
            Mode::LessOrEqual => value <= node.split,
            Mode::Less => value < node.split,
            Mode::GreaterOrEqual => value >= node.split,
            Mode::Greater => value > node.split,
            Mode::Equal => value == node.split,
            Mode::NotEqual => value != node.split,
            Mode::Member => {
                let set = self.sets.get(node.split.to_f64() as usize);
                let value = value.to_f64() + 0.0;
                set.is_some_and(|set| set.binary_search_by(|member| (member + 0.0).total_cmp(&value)).is_ok())
            }
        };
        holds || node.misses(value)
    }

    #[inline(always)]
    fn climb(
        &self,
        values: &[T],
        width: usize,
        rows: usize,
        test: impl Fn(usize, &Node<T>, T) -> bool + Copy,
        mut tell: impl FnMut(usize, usize),
    ) {
        let row = |index: usize| &values[index * width..(index + 1) * width];
        let together = rows - rows % LANES;
        for &root in &self.roots {
            for first in (0..together).step_by(LANES) {
                let lanes = std::array::from_fn(|lane| row(first + lane));
                let leaves = follow(&self.nodes, [root; LANES], lanes, test);
                leaves.iter().enumerate().for_each(|(lane, &leaf)| tell(first + lane, leaf));
            }
        }
        // Rows that are too few to go side by side go through several trees at once.
        for index in together..rows {
            let (groups, rest) = self.roots.as_chunks::<LANES>();
            for roots in groups {
                let leaves = follow(&self.nodes, *roots, [row(index); LANES], test);
                leaves.iter().for_each(|&leaf| tell(index, leaf));
            }
            for &root in rest {
                tell(index, follow(&self.nodes, [root], [row(index)], test)[0]);
            }
        }
    }
}

impl<T: Number> Node<T> {
    /// Whether the value is none, and none counts as true.
    fn misses(&self, value: T) -> bool {
        self.feature & MISSING != 0 && value.is_none()
    }
}

/// The leaves to which ways from these places lead, each for its own row.
#[inline(always)]
fn follow<T: Number, const WAYS: usize>(
    nodes: &[Node<T>],
    mut places: [u32; WAYS],
    rows: [&[T]; WAYS],
    test: impl Fn(usize, &Node<T>, T) -> bool,
) -> [usize; WAYS] {
    loop {
        let mut all_leaves = LEAF;
        for (place, row) in places.iter_mut().zip(rows) {
            // One that has arrived looks at the first node and stays.
            let at = if *place < LEAF { *place as usize } else { 0 };
            let Some(node) = nodes.get(at) else { break };
            let value = row[(node.feature & !MISSING) as usize];
            let next = if test(at, node, value) { node.yes } else { node.no };
            *place = if *place < LEAF { next } else { *place };
            all_leaves &= *place;
        }
        if all_leaves != 0 {
            return places.map(|place| (place & !LEAF) as usize);
        }
    }
}
