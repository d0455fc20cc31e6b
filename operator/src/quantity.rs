//! Kubernetes quantities as numbers, so that `0.572` and `572m` are one value. Pure.

/// One unit in the finest step that a quantity can have: the API server rounds up to whole nanos.
const NANOS: i128 = 1_000_000_000;

/// The value in nanos, or nothing if the text is no quantity (or larger than anything that a cluster can hold).
pub(crate) fn nanos(text: &str) -> Option<i128> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let value = scaled(number, suffix)?;
    Some(if negative { -value } else { value })
}

fn scaled(number: &str, suffix: &str) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let (multiplier, divisor) = scale(suffix)?;
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let below = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?.checked_mul(divisor)?;
    let above = digits.checked_mul(multiplier)?.checked_mul(NANOS)?;
    Some(above / below + i128::from(above % below != 0))
}

/// What a suffix multiplies and divides by.
fn scale(suffix: &str) -> Option<(i128, i128)> {
    let found = match suffix {
        "" => (1, 1),
        "n" => (1, NANOS),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (NANOS, 1),
        "T" => (NANOS * 1_000, 1),
        "P" => (NANOS * 1_000_000, 1),
        "E" => (NANOS * NANOS, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        exponent => return power(exponent.strip_prefix(['e', 'E'])?),
    };
    Some(found)
}

fn power(exponent: &str) -> Option<(i128, i128)> {
    let exponent: i32 = exponent.parse().ok()?;
    let factor = 10_i128.checked_pow(exponent.unsigned_abs())?;
    Some(if exponent < 0 { (1, factor) } else { (factor, 1) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    #[test]
    fn the_same_amount_in_other_words_is_the_same_number() {
        for (one, other) in [
            ("0.572", "572m"),
            ("1Gi", "1024Mi"),
            ("1000m", "1"),
            ("1e3", "1k"),
            ("1E3", "1000"),
            ("12e-1", "1.2"),
            ("0.1", "100m"),
            (".5", "500m"),
            ("+2", "2"),
            ("1.", "1"),
        ] {
            assert_eq!(nanos(one), nanos(other), "{one} and {other}");
            assert!(nanos(one).is_some(), "{one}");
        }
    }

    #[test]
    fn different_amounts_differ() {
        assert_ne!(nanos("0.571"), nanos("572m"));
        assert_ne!(nanos("1G"), nanos("1Gi"));
        assert_ne!(nanos("-1"), nanos("1"));
    }

    #[test]
    fn what_is_no_quantity_has_no_value() {
        for text in ["", "x", "1x", "1.2.3", "Mi", "1ee3", "-", ".", "1e999", "99999999999999999999999999999Ei"] {
            assert_eq!(nanos(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in any::<String>()) {
            let _ = nanos(&text);
        }

        #[test]
        fn milli_is_a_thousandth(value in 0_u32..) {
            prop_assert_eq!(nanos(&format!("{value}m")).map(|n| n * 1000), nanos(&value.to_string()));
        }
    }
}
