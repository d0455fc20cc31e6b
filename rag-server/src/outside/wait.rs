//! How long a service wants to be left alone, as its headers say it.
//!
//! Pure. Services agree on the names and little else: `retry-after` is seconds or a date, and durations elsewhere come as `6m0s`, `20ms`, `7.66s` or seconds. What cannot be read says nothing.

use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;

/// Longest wait that is believed: a mistake in a header must not switch a service off for ever.
pub const LONGEST: Duration = Duration::from_secs(3600);

/// How long to stay away from `now` on, at most [`LONGEST`].
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let millis = || seconds(text("retry-after-ms")?.parse::<f64>().ok()? / 1000.0);
    millis().or_else(|| text("retry-after").and_then(|text| duration(text).or_else(|| until(text, now))))
}

/// `1h2m3.5s`, `20ms`, or plain seconds; at most [`LONGEST`].
pub fn duration(text: &str) -> Option<Duration> {
    if let Ok(plain) = text.parse::<f64>() {
        return seconds(plain);
    }
    let (mut rest, mut sum) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, unit) = rest.split_at(digits);
        let ends = unit.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit.len());
        let scale = match &unit[..ends] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        sum += number.parse::<f64>().ok()? * scale;
        rest = &unit[ends..];
    }
    (!text.is_empty()).then(|| seconds(sum))?
}

/// The time until a date; a date that passed is no wait.
fn until(text: &str, now: SystemTime) -> Option<Duration> {
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default().min(LONGEST))
}

fn seconds(number: f64) -> Option<Duration> {
    let is_a_wait = number.is_finite() && number >= 0.0;
    is_a_wait.then(|| Duration::from_secs_f64(number.min(LONGEST.as_secs_f64())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn durations_are_read_in_every_form_that_vendors_use() {
        let millis = |text| duration(text).map(|wait: Duration| wait.as_millis());
        for (text, expected) in [
            ("6m0s", 360_000),
            ("20ms", 20),
            ("7.66s", 7_660),
            ("2m59.5s", 179_500),
            ("1h", 3_600_000),
            ("12", 12_000),
            ("0.5", 500),
            ("0", 0),
            ("999999d", 3_600_000),
        ] {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
        for nonsense in ["", "soon", "5 s", "-1", "nan", "inf", "1x", "s", "..s", "1e400s"] {
            assert_eq!(millis(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_longer_than_an_hour() {
        let now = httpdate::parse_http_date("Sat, 21 Nov 2026 10:00:00 GMT").unwrap();
        let wait = |text: &str| retry_after(&headers(&[("retry-after", text)]), now);
        for (text, expected) in [
            ("7", 7),
            (" 7 ", 7),
            ("4000000000", 3600),
            ("18446744073709551615", 3600),
            ("99999999999999999999999999", 3600),
            ("Sat, 21 Nov 2026 10:00:30 GMT", 30),
            ("Saturday, 21-Nov-26 10:00:30 GMT", 30),
            ("Sat, 21 Nov 2026 09:00:30 GMT", 0),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 3600),
        ] {
            assert_eq!(wait(text), Some(Duration::from_secs(expected)), "{text}");
        }
        for garbage in ["later", "-5", "", "1e999", "Sat, 99 Nov 2026 10:00:30 GMT"] {
            assert_eq!(wait(garbage), None, "{garbage}");
        }
        let both = headers(&[("retry-after", "7"), ("retry-after-ms", "1500")]);
        assert_eq!(retry_after(&both, now), Some(Duration::from_millis(1_500)));
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    proptest! {
        #[test]
        fn whatever_a_header_holds_the_wait_is_bounded(text in "[ -~]{0,40}") {
            let found = retry_after(&headers(&[("retry-after", &text), ("retry-after-ms", &text)]), SystemTime::now());
            prop_assert!(found.is_none_or(|wait| wait <= LONGEST));
        }
    }
}
