//! Whether a difference between two rankings is more than luck: the paired bootstrap over questions.
//!
//! Pure and seeded: the same figures always give the same interval.

/// Samples drawn; the ends of a 95 % interval then stand to about a hundredth of its width.
const SAMPLES: usize = 2_000;
/// Fixed, so that a report can be made again.
const SEED: u64 = 0x5eed_4a6b_2026;
/// Share of the samples that lies below the interval, and above it.
const TAIL: f64 = 0.025;

/// A mean with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Interval {
    /// The mean over all questions.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether zero lies outside: a difference with such an interval is hardly luck.
    pub fn excludes_zero(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

/// The mean of one figure for each question.
pub fn mean(values: &[f64]) -> Interval {
    let count = values.len();
    if count == 0 {
        return Interval { mean: 0.0, low: 0.0, high: 0.0 };
    }
    let mut random = SplitMix(SEED);
    let mut means: Vec<f64> =
        (0..SAMPLES).map(|_| (0..count).map(|_| values[random.below(count)]).sum::<f64>() / count as f64).collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[((SAMPLES - 1) as f64 * share).round() as usize];
    Interval { mean: values.iter().sum::<f64>() / count as f64, low: at(TAIL), high: at(1.0 - TAIL) }
}

/// The mean difference `a - b` of the same questions.
pub fn difference(a: &[f64], b: &[f64]) -> Interval {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    mean(&differences)
}

/// A small generator of even numbers; nothing here needs more.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; the bias of the multiplication is below any figure here.
    fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.next()) * limit as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_clear_difference_excludes_zero_and_none_does_not() {
        let better: Vec<f64> = (0..100).map(|n| 0.6 + f64::from(n % 7) / 100.0).collect();
        let worse: Vec<f64> = (0..100).map(|n| 0.4 + f64::from(n % 5) / 100.0).collect();
        let clear = difference(&better, &worse);
        assert!(clear.excludes_zero() && clear.low > 0.15 && clear.high < 0.25, "{clear:?}");
        let wavering: Vec<f64> = (0..100).map(|n| if n % 2 == 0 { 0.5 } else { 0.3 }).collect();
        let level: Vec<f64> = (0..100).map(|n| if n % 2 == 0 { 0.3 } else { 0.5 }).collect();
        assert!(!difference(&wavering, &level).excludes_zero());
    }

    #[test]
    fn the_interval_is_about_two_standard_errors_wide() {
        // Zeros and ones, half of each: the standard error of the mean of 400 is 0.025.
        let coins: Vec<f64> = (0..400).map(|n| f64::from(n % 2)).collect();
        let interval = mean(&coins);
        assert!((interval.high - interval.low - 4.0 * 0.025).abs() < 0.015, "{interval:?}");
    }

    #[test]
    fn no_questions_are_no_difference() {
        assert_eq!(mean(&[]), Interval { mean: 0.0, low: 0.0, high: 0.0 });
    }

    proptest! {
        #[test]
        fn the_interval_lies_within_the_values_and_is_always_the_same(
            values in prop::collection::vec(-1.0..1.0_f64, 1..40),
        ) {
            let interval = mean(&values);
            let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
            prop_assert!(low <= interval.low + 1e-12 && interval.low <= interval.high && interval.high <= high + 1e-12);
            prop_assert_eq!(mean(&values), interval);
        }
    }
}
