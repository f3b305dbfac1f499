//! Ensembles of decision trees, evaluated: all nodes lie in one array, and several
//! ways through it are followed side by side, so that one waits for memory while
//! another goes on.

mod climb;
mod decide;

use tract_onnx::prelude::{TVec, TractResult, tvec};
use tract_onnx::tract_hir::internal::{Datum, Tensor, bail};

use super::encoders::labels;
use super::matrix::Matrix;
use crate::onnx::learned::{Aggregate, Forest, Labels, Transform, TreeClassifier, TreeRegressor, Values};
use climb::Grove;
use decide::Decision;

/// Trees with what becomes of what their leaves say.
#[derive(Debug)]
pub(super) struct Trees<T> {
    grove: Grove<T>,
    says: Says<T>,
    /// How many scores a row gets.
    columns: usize,
    base: Vec<T>,
    purpose: Purpose,
}

/// The numbers that the trees compute with.
pub(super) trait Number: Datum + Copy + PartialOrd + Default {
    const ZERO: Self;
    fn of(value: f64) -> Self;
    fn is_none(self) -> bool;
    fn plus(self, other: Self) -> Self;
    fn over(self, count: usize) -> Self;
    fn to_f32(self) -> f32;
    fn to_f64(self) -> f64;
}

/// What the leaves say.
#[derive(Debug)]
enum Says<T> {
    /// Each one number, all for the same column.
    One { column: usize, numbers: Vec<T> },
    /// Each several, for a column each: those from where it starts to where the
    /// next one does.
    Several { starts: Vec<u32>, columns: Vec<u32>, numbers: Vec<T> },
}

#[derive(Debug)]
enum Purpose {
    Classify { decision: Decision, labels: Labels },
    Regress { aggregate: Aggregate, transform: Transform, keeps_type: bool },
}

/// The scores of some rows. A score that no leaf has spoken of is zero, and stays
/// so whatever is added to the others.
struct Scores<T> {
    columns: usize,
    numbers: Vec<T>,
    spoken: Vec<bool>,
}

/// Rows that go through all trees before the next ones do: a tree stays in the
/// processor's cache while they pass.
const BLOCK: usize = 256;

impl<T: Number> Trees<T> {
    pub(super) fn classify(learned: &TreeClassifier) -> TractResult<Self> {
        let decision = Decision {
            classes: learned.labels.len(),
            binary: learned.binary,
            all_positive: learned.all_positive,
            transform: learned.transform,
        };
        let purpose = Purpose::Classify { decision, labels: learned.labels.clone() };
        Self::plant(&learned.forest, learned.labels.len(), &learned.base, purpose)
    }

    pub(super) fn regress(learned: &TreeRegressor) -> TractResult<Self> {
        let (aggregate, transform, keeps_type) = (learned.aggregate, learned.transform, learned.keeps_type);
        let purpose = Purpose::Regress { aggregate, transform, keeps_type };
        Self::plant(&learned.forest, learned.targets, &learned.base, purpose)
    }

    fn plant(forest: &Forest, columns: usize, base: &Values, purpose: Purpose) -> TractResult<Self> {
        let lists = [&forest.splits, &forest.weights, base];
        if T::datum_type() == f32::datum_type() && lists.iter().any(|list| matches!(list, Values::Doubles(_)))
        {
            bail!("its numbers are doubles, and its input is not");
        }
        let grove = Grove::plant(forest);
        Ok(Self { grove, says: Says::of(forest), columns, base: numbers(base), purpose })
    }

    pub(super) fn bytes(&self) -> usize {
        let says = match &self.says {
            Says::One { numbers, .. } => numbers.len() * size_of::<T>(),
            Says::Several { starts, columns, numbers } => {
                (starts.len() + columns.len()) * 4 + numbers.len() * size_of::<T>()
            }
        };
        self.grove.bytes() + says
    }

    pub(super) fn run(&self, input: &Tensor) -> TractResult<TVec<Tensor>> {
        let matrix = Matrix::<T>::of(input)?;
        if self.grove.width() > matrix.width {
            bail!("a node compares feature {}, and its input has {}", self.grove.width() - 1, matrix.width);
        }
        let (values, rows) = (matrix.values()?, matrix.rows);
        match &self.purpose {
            Purpose::Classify { decision, labels: names } => {
                let mut scores = vec![0.0f32; rows * self.columns];
                let mut chosen = Vec::with_capacity(rows);
                let mut made = scores.chunks_exact_mut(self.columns);
                self.each_row(values, matrix.width, rows, Aggregate::Sum, |numbers, spoken| {
                    if let Some(made) = made.next() {
                        chosen.push(decision.decide(numbers, spoken, &self.base, made));
                    }
                });
                let named = decision.named(names);
                Ok(tvec![labels(&named, &chosen)?, Tensor::from_shape(&[rows, self.columns], &scores)?])
            }
            Purpose::Regress { aggregate, transform, keeps_type } => {
                let mut made = Vec::with_capacity(rows * self.columns);
                let mut room = Vec::with_capacity(self.columns);
                self.each_row(values, matrix.width, rows, *aggregate, |numbers, spoken| {
                    if *aggregate == Aggregate::Average {
                        let trees = self.grove.trees();
                        numbers.iter_mut().for_each(|number| *number = number.over(trees));
                    }
                    decide::add_base(numbers, &self.base);
                    decide::finish(numbers, spoken, *transform, &mut room, &mut made);
                });
                let shape = [rows, self.columns];
                if *keeps_type {
                    return Ok(tvec![Tensor::from_shape(&shape, &made)?]);
                }
                let made: Vec<f32> = made.into_iter().map(Number::to_f32).collect();
                Ok(tvec![Tensor::from_shape(&shape, &made)?])
            }
        }
    }

    /// Gives the scores of every row, in order, and which of them are spoken of.
    fn each_row(
        &self,
        values: &[T],
        width: usize,
        rows: usize,
        aggregate: Aggregate,
        mut finish: impl FnMut(&mut [T], &mut [bool]),
    ) {
        let mut scores = Scores::new(rows.min(BLOCK), self.columns);
        for start in (0..rows).step_by(BLOCK) {
            let count = BLOCK.min(rows - start);
            let block = &values[start * width..(start + count) * width];
            scores.clear();
            self.add_up(block, width, count, aggregate, &mut scores);
            let numbers = scores.numbers.chunks_exact_mut(self.columns);
            let rows = numbers.zip(scores.spoken.chunks_exact_mut(self.columns)).take(count);
            rows.for_each(|(numbers, spoken)| finish(numbers, spoken));
        }
    }

    fn add_up(&self, block: &[T], width: usize, rows: usize, aggregate: Aggregate, scores: &mut Scores<T>) {
        match (&self.says, aggregate) {
            (Says::One { column, numbers }, Aggregate::Sum | Aggregate::Average) => {
                self.grove.each_leaf(block, width, rows, |row, leaf| {
                    let score = &mut scores.numbers[row * scores.columns + column];
                    *score = score.plus(numbers[leaf]);
                });
                scores.spoken.chunks_exact_mut(scores.columns).for_each(|row| row[*column] = true);
            }
            (Says::One { column, numbers }, extreme) => {
                self.grove.each_leaf(block, width, rows, |row, leaf| {
                    scores.say(row, *column, numbers[leaf], extreme);
                });
            }
            (Says::Several { starts, columns, numbers }, aggregate) => {
                self.grove.each_leaf(block, width, rows, |row, leaf| {
                    for at in starts[leaf] as usize..starts[leaf + 1] as usize {
                        scores.say(row, columns[at] as usize, numbers[at], aggregate);
                    }
                });
            }
        }
    }
}

impl<T: Number> Says<T> {
    fn of(forest: &Forest) -> Self {
        let numbers = numbers(&forest.weights);
        let one_each = forest.leaves.len() == numbers.len() + 1;
        match forest.targets.first() {
            Some(first) if one_each && forest.targets.iter().all(|target| target == first) => {
                Says::One { column: *first as usize, numbers }
            }
            _ => Says::Several {
                starts: forest.leaves.iter().map(|&start| start as u32).collect(),
                columns: forest.targets.clone(),
                numbers,
            },
        }
    }
}

impl<T: Number> Scores<T> {
    fn new(rows: usize, columns: usize) -> Self {
        Self { columns, numbers: vec![T::ZERO; rows * columns], spoken: vec![false; rows * columns] }
    }

    fn clear(&mut self) {
        self.numbers.fill(T::ZERO);
        self.spoken.fill(false);
    }

    fn say(&mut self, row: usize, column: usize, number: T, aggregate: Aggregate) {
        let at = row * self.columns + column;
        let (score, spoken) = (&mut self.numbers[at], &mut self.spoken[at]);
        *score = match aggregate {
            Aggregate::Sum | Aggregate::Average => score.plus(number),
            Aggregate::Min if *spoken && *score < number => *score,
            Aggregate::Max if *spoken && *score > number => *score,
            Aggregate::Min | Aggregate::Max => number,
        };
        *spoken = true;
    }
}

fn numbers<T: Number>(values: &Values) -> Vec<T> {
    (0..values.len()).map(|index| T::of(values.number(index))).collect()
}

macro_rules! number {
    ($type:ty) => {
        impl Number for $type {
            const ZERO: Self = 0.0;

            fn of(value: f64) -> Self {
                value as $type
            }

            fn is_none(self) -> bool {
                self.is_nan()
            }

            fn plus(self, other: Self) -> Self {
                self + other
            }

            fn over(self, count: usize) -> Self {
                self / count as $type
            }

            fn to_f32(self) -> f32 {
                self as f32
            }

            fn to_f64(self) -> f64 {
                self.into()
            }
        }
    };
}

number!(f32);
number!(f64);
