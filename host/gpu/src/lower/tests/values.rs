//! Operators that go where values lead, or put them in order.

use tract_core::ops::array::{
    CumSum, GatherElements, GatherNd, OneHot, ScatterElements, ScatterNd, ScatterReduction, Tile, Topk, Trilu,
};
use tract_core::ops::fft::{Fft, Stft};
use tract_core::ops::nn::grid_sample::{GridSample, InterpolationMode, PaddingMode};

use super::*;

/// Every datatype that a device may hold.
fn datatypes() -> [DatumType; 11] {
    [
        bool::datum_type(),
        u8::datum_type(),
        i8::datum_type(),
        u16::datum_type(),
        i16::datum_type(),
        u32::datum_type(),
        i32::datum_type(),
        u64::datum_type(),
        i64::datum_type(),
        f16::datum_type(),
        f32::datum_type(),
    ]
}

#[test]
fn elements_by_indices() {
    for datatype in datatypes() {
        for index in [i32::datum_type(), i64::datum_type()] {
            let mut build = Build::new();
            let x = build.source(datatype, &[4, 5]);
            let at = build.source(index, &[4, 2]);
            let one = build.wire(GatherElements::new(2), &[x, at]);
            let several = build.wire(GatherNd::new(1), &[x, at]);
            let program = lowered(&build.finish(&[one, several]));
            assert_eq!(names(&program), ["gather_at", "gather_at"], "{datatype:?}");
        }
    }
}

#[test]
fn marks_and_triangles() {
    for datatype in datatypes() {
        let mut build = Build::new();
        let x = build.source(datatype, &[4, 5]);
        let diagonal = build.constant(i64::datum_type(), &[]);
        let mut outputs = vec![];
        for upper in [true, false] {
            outputs.push(build.wire(Trilu { upper }, &[x, diagonal]));
        }
        let [on, off] =
            [1f32, 0.0].map(|mark| Arc::new(tensor0(mark).cast_to_dt(datatype).unwrap().into_owned()));
        for index in [i64::datum_type(), i32::datum_type(), f32::datum_type()] {
            let at = build.source(index, &[2]);
            let one_hot = OneHot { axis: 1, dim: 7, off: Arc::clone(&off), on: Arc::clone(&on) };
            outputs.push(build.wire(one_hot, &[at]));
        }
        let program = lowered(&build.finish(&outputs));
        assert_eq!(names(&program), ["triangle", "triangle", "one_hot", "one_hot", "one_hot"]);
    }
}

#[test]
fn updates_by_indices() {
    use ScatterReduction::{Add, Max, Min, Mul, None};
    for datatype in datatypes() {
        for reduction in [None, Add, Mul, Min, Max] {
            if datatype == bool::datum_type() && reduction != None {
                continue;
            }
            let mut build = Build::new();
            let x = build.source(datatype, &[4, 5]);
            let at = build.source(i64::datum_type(), &[4, 2]);
            let tuples = build.source(i32::datum_type(), &[2]);
            let updates = build.source(datatype, &[4, 2]);
            let slices = build.source(datatype, &[5]);
            let one = build.wire(ScatterElements { axis: 2, reduction }, &[x, at, updates]);
            let several = build.wire(ScatterNd { reduction }, &[x, tuples, slices]);
            let program = lowered(&build.finish(&[one, several]));
            let steps: &[&str] =
                if reduction == None { &["scatter"; 2] } else { &["copy", "scatter", "copy", "scatter"] };
            assert_eq!(names(&program), steps, "{datatype:?}");
        }
    }
}

#[test]
fn rows_in_order_and_running_sums() {
    for datatype in datatypes().into_iter().filter(|datatype| *datatype != bool::datum_type()) {
        for is_first in [true, false] {
            let mut build = Build::new();
            let x = build.source(datatype, &[9]);
            let kept = build.constant(i64::datum_type(), &[]);
            let top = build.wire(Topk { axis: 1, largest: is_first, fallback_k: 0.to_dim() }, &[x, kept]);
            let sums = build.wire(CumSum { axis: 1, exclusive: is_first, reverse: is_first }, &[x]);
            let tiles = build.wire(Tile { multipliers: tvec![1.to_dim(), 2.to_dim()] }, &[x]);
            let program = lowered(&build.finish(&[top, sums, tiles]));
            assert_eq!(names(&program), ["top", "running_sum", "copy"], "{datatype:?}");
            assert_eq!(program.steps[0].variants.len(), 4);
        }
    }
}

#[test]
fn transforms() {
    for datatype in [f32::datum_type(), f16::datum_type()] {
        let mut build = Build::new();
        let x = build.source(datatype, &[40, 2]);
        let rows = build.wire(Fft { axis: 1, inverse: true }, &[x]);
        let window = Some(Arc::new(tensor1(&[0.5f32; 7])));
        let frames = build.wire(Stft { axis: 1, frame: 9, stride: 4, window }, &[x]);
        let program = lowered(&build.finish(&[rows, frames]));
        assert_eq!(names(&program), ["fourier", "fourier"]);
    }
}

#[test]
fn places_between_elements() {
    for datatype in [f32::datum_type(), f16::datum_type()] {
        for (axes, mode) in [
            (1, InterpolationMode::Nearest),
            (1, InterpolationMode::Bilinear),
            (2, InterpolationMode::Bicubic),
            (3, InterpolationMode::Bilinear),
        ] {
            for padding in [PaddingMode::Zeros, PaddingMode::Border, PaddingMode::Reflection] {
                let mut build = Build::new();
                let x = build.source(datatype, &[3, 5, 6, 7][..=axes]);
                let grid = build.source(datatype, &[[4; 3].as_slice(), &[axes as i64]].concat()[3 - axes..]);
                let (mode, padding_mode) = (mode.clone(), padding.clone());
                let op = GridSample { mode, padding_mode, align_corners: axes == 2 };
                let y = build.wire(op, &[x, grid]);
                let program = lowered(&build.finish(&[y]));
                assert_eq!(names(&program), ["grid_sample"]);
            }
        }
    }
}
