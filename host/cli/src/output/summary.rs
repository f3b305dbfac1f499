//! Numbers about a tensor that is too big to show.

use super::values::Values;

/// Elements shown at the front.
const FIRST: usize = 6;

pub(crate) fn lines(values: &Values) -> Vec<String> {
    let numbers = values.floats();
    let finite: Vec<f64> = numbers.iter().copied().filter(|value| value.is_finite()).collect();
    let mut lines = Vec::new();
    if !finite.is_empty() {
        let (least, most) =
            finite.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), &value| {
                (least.min(value), most.max(value))
            });
        let mean = finite.iter().sum::<f64>() / finite.len() as f64;
        lines.push(format!("min {}  max {}  mean {}", short(least), short(most), short(mean)));
    }
    let strange = numbers.len() - finite.len();
    if strange > 0 {
        let nans = numbers.iter().filter(|value| value.is_nan()).count();
        lines.push(format!("not finite: {strange} of {} ({nans} NaN)", numbers.len()));
    }
    let first: Vec<String> = (0..FIRST.min(values.len()))
        .map(|index| if values.is_float() { short(numbers[index]) } else { values.text(index) })
        .collect();
    lines.push(format!("first [{}, …]", first.join(", ")));
    lines
}

/// A number with about five digits that count.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || value.fract() == 0.0 && size < 1e6 {
        return format!("{value}");
    }
    if !(1e-4..1e6).contains(&size) {
        return format!("{value:.4e}");
    }
    let digits = (4 - size.log10().floor() as i32).clamp(0, 8) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
