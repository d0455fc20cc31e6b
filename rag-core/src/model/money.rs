//! Money in whole millionths of a US dollar: sums are exact, and two replicas never disagree about a rounding.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Millionths of a US dollar. Written and read as dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MicroUsd(pub u64);

impl MicroUsd {
    const PER_USD: f64 = 1_000_000.0;

    /// This many dollars, rounded to the next millionth; nothing for what is no amount.
    pub fn from_usd(usd: f64) -> Self {
        // A cast saturates and takes what is no number for zero.
        Self((usd * Self::PER_USD).round() as u64)
    }

    /// In dollars, for people and metrics alone.
    pub fn usd(self) -> f64 {
        self.0 as f64 / Self::PER_USD
    }

    /// What so many tokens cost when this is the price of a million; rounded up, so that nothing is free by rounding.
    pub fn for_tokens(self, tokens: u64) -> Self {
        let micro = (u128::from(self.0) * u128::from(tokens)).div_ceil(1_000_000);
        Self(u64::try_from(micro).unwrap_or(u64::MAX))
    }

    /// What so many requests cost when this is the price of a thousand; rounded up, too.
    pub fn for_requests(self, requests: u64) -> Self {
        let micro = (u128::from(self.0) * u128::from(requests)).div_ceil(1_000);
        Self(u64::try_from(micro).unwrap_or(u64::MAX))
    }

    /// The sum, or the most that can be said.
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left, or nothing.
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for MicroUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, millionths) = (self.0 / 1_000_000, self.0 % 1_000_000);
        // Cents are always written, smaller parts only where there are any.
        match format!("{millionths:06}") {
            digits if digits.ends_with("0000") => write!(f, "{whole}.{} USD", &digits[..2]),
            digits => write!(f, "{whole}.{} USD", digits.trim_end_matches('0')),
        }
    }
}

impl Serialize for MicroUsd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.usd())
    }
}

impl<'de> Deserialize<'de> for MicroUsd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(Self::from_usd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_kept_to_the_millionth() {
        assert_eq!(MicroUsd::from_usd(0.15), MicroUsd(150_000));
        assert_eq!(MicroUsd::from_usd(0.1).plus(MicroUsd::from_usd(0.2)), MicroUsd::from_usd(0.3));
        assert_eq!([f64::NAN, -1.0, 0.0].map(MicroUsd::from_usd), [MicroUsd(0); 3]);
        assert_eq!(MicroUsd::from_usd(12.34).usd(), 12.34);
        assert_eq!(serde_json::from_str::<MicroUsd>("200").unwrap(), MicroUsd(200_000_000));
        assert_eq!(serde_json::to_string(&MicroUsd(1_500_000)).unwrap(), "1.5");
    }

    #[test]
    fn tokens_are_never_free_by_rounding() {
        let price = MicroUsd::from_usd(0.15);
        assert_eq!(price.for_tokens(1_000_000), price);
        assert_eq!(price.for_tokens(1), MicroUsd(1));
        assert_eq!(price.for_tokens(0), MicroUsd(0));
        assert_eq!(MicroUsd(0).for_tokens(1_000), MicroUsd(0));
        assert_eq!([0, 1, 1_000].map(|requests| MicroUsd(2_500).for_requests(requests)), [0, 3, 2_500].map(MicroUsd));
        assert_eq!(MicroUsd(u64::MAX).for_tokens(u64::MAX), MicroUsd(u64::MAX));
    }

    #[test]
    fn an_amount_reads_as_people_write_it() {
        let shown = [0, 1, 10_000, 1_500_000, 200_000_000].map(|micro| MicroUsd(micro).to_string());
        assert_eq!(shown, ["0.00 USD", "0.000001 USD", "0.01 USD", "1.50 USD", "200.00 USD"]);
    }
}
