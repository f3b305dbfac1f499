//! Loops over elements, with the widest registers that the processor has.

use super::steps::Linear;

macro_rules! widest {
    ($($(#[$document:meta])* fn $name:ident<$($kind:ident),*>(
        $($argument:ident: $type:ty),*
    ), $work:ident: ($given:ty) -> $made:ty, $body:block)*) => {$(
        $(#[$document])*
        pub(super) fn $name<$($kind: Copy),*>($($argument: $type,)* $work: &impl Fn($given, Linear) -> $made) {
            #[inline(always)]
            fn any<$($kind: Copy),*>($($argument: $type,)* $work: &impl Fn($given, Linear) -> $made) {
                $body
            }

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn with_avx2<$($kind: Copy),*>($($argument: $type,)* $work: &impl Fn($given, Linear) -> $made) {
                    any($($argument,)* $work);
                }

                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has the feature.
                    return unsafe { with_avx2($($argument,)* $work) };
                }
            }
            any($($argument,)* $work);
        }
    )*};
}

widest! {
    /// Makes elements of others, with one scale.
    fn fill<A, B>(from: &[A], into: &mut [B], linear: Linear), work: (A) -> B, {
        for (into, &from) in into.iter_mut().zip(from) {
            *into = work(from, linear);
        }
    }

    /// Makes elements of others, with a scale for each.
    fn fill_row<A, B>(from: &[A], into: &mut [B], linear: &[Linear]), work: (A) -> B, {
        for ((into, &from), &linear) in into.iter_mut().zip(from).zip(linear) {
            *into = work(from, linear);
        }
    }

    /// Changes elements, with one scale.
    fn change<>(values: &mut [f32], linear: Linear), work: (f32) -> f32, {
        for value in values {
            *value = work(*value, linear);
        }
    }

    /// Changes elements, with a scale for each.
    fn change_row<>(values: &mut [f32], linear: &[Linear]), work: (f32) -> f32, {
        for (value, &linear) in values.iter_mut().zip(linear) {
            *value = work(*value, linear);
        }
    }
}
