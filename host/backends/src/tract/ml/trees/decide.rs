//! From what leaves say to an answer, as ONNX Runtime does it. The specification
//! says neither what one score means for two classes nor when it is transformed.

use std::borrow::Cow;

use super::super::scores::{Second, probit, transform};
use super::Number;
use crate::onnx::learned::{Labels, Transform};

/// How a class is chosen.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) classes: usize,
    /// Whether all leaves speak of one and the same of two classes.
    pub(super) binary: bool,
    pub(super) all_positive: bool,
    pub(super) transform: Transform,
}

impl Decision {
    /// The place of the class among the names; writes the scores of all.
    pub(super) fn decide<T: Number>(
        &self,
        numbers: &mut [T],
        spoken: &mut [bool],
        base: &[T],
        made: &mut [f32],
    ) -> usize {
        if self.classes > 2 {
            for ((number, spoken), base) in numbers.iter_mut().zip(spoken.iter_mut()).zip(base) {
                *number = number.plus(*base);
                *spoken = true;
            }
            let winner = highest(numbers, spoken);
            write(numbers, spoken, made);
            transform(made, self.classes, self.transform, Second::No);
            return winner;
        }
        let count = if self.classes == 1 { one(numbers, spoken, base) } else { two(numbers, spoken, base) };
        let deciding = if count == 2 && spoken[1] { numbers[1] } else { numbers[0] };
        let is_positive = match self.binary && self.all_positive {
            true => deciding.to_f64() > 0.5,
            false => deciding > T::ZERO,
        };
        let second = match (self.binary, self.all_positive, self.classes, base.len()) {
            (true, true, ..) => Second::Rest,
            (true, false, ..) | (false, _, 2, 0) => Second::Opposite,
            _ => Second::No,
        };
        write(&numbers[..count], spoken, made);
        transform(made, count, self.transform, second);
        usize::from(is_positive)
    }

    /// The names of the places.
    pub(super) fn named<'a>(&self, names: &'a Labels) -> Cow<'a, Labels> {
        match names {
            // Where leaves speak of both classes, numbers are not looked up.
            Labels::Ints(_) if self.classes <= 2 && !self.binary => Cow::Owned(Labels::Ints(vec![0, 1])),
            names => Cow::Borrowed(names),
        }
    }
}

pub(super) fn add_base<T: Number>(numbers: &mut [T], base: &[T]) {
    for (number, base) in numbers.iter_mut().zip(base) {
        *number = number.plus(*base);
    }
}

/// Appends the scores of a row. A lone one is not transformed, but by PROBIT.
pub(super) fn finish<T: Number>(
    numbers: &[T],
    spoken: &[bool],
    function: Transform,
    room: &mut Vec<f32>,
    made: &mut Vec<T>,
) {
    if let [number] = *numbers {
        made.push(if function == Transform::Probit { T::of(probit(number.to_f32()).into()) } else { number });
        return;
    }
    if function == Transform::None {
        made.extend(
            numbers.iter().zip(spoken).map(|(&number, &spoken)| if spoken { number } else { T::ZERO }),
        );
        return;
    }
    room.clear();
    room.resize(numbers.len(), 0.0);
    write(numbers, spoken, room);
    transform(room, numbers.len(), function, Second::No);
    made.extend(room.iter().map(|&score| T::of(score.into())));
}

fn write<T: Number>(numbers: &[T], spoken: &[bool], made: &mut [f32]) {
    for ((made, number), spoken) in made.iter_mut().zip(numbers).zip(spoken) {
        *made = if *spoken { number.to_f32() } else { 0.0 };
    }
}

fn one<T: Number>(numbers: &mut [T], spoken: &mut [bool], base: &[T]) -> usize {
    add_base(numbers, base);
    spoken[0] = true;
    1
}

/// Adds the base to the scores of two classes; how many scores are left.
fn two<T: Number>(numbers: &mut [T], spoken: &mut [bool], base: &[T]) -> usize {
    match *base {
        [_, second] if spoken[1] => {
            numbers[1] = second.plus(numbers[0]);
            numbers[0] = T::of(-numbers[1].to_f64());
            2
        }
        [first, second] => {
            numbers[0] = numbers[0].plus(first);
            numbers[1] = numbers[1].plus(second);
            2
        }
        _ => {
            if let [first] = base {
                numbers[0] = numbers[0].plus(*first);
            }
            if spoken[1] { 2 } else { 1 }
        }
    }
}

/// The first of the highest among those that leaves have spoken of.
fn highest<T: Number>(numbers: &[T], spoken: &[bool]) -> usize {
    let mut winner: Option<usize> = None;
    for (place, (number, spoken)) in numbers.iter().zip(spoken).enumerate() {
        if *spoken && winner.is_none_or(|winner| *number > numbers[winner]) {
            winner = Some(place);
        }
    }
    winner.unwrap_or(0)
}
