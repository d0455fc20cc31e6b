//! What a vendor's headers say about its rate limit.
//!
//! Pure. Vendors agree on the names and little else: durations come as `6m0s`, `20ms`, `7.66s` or seconds, and `retry-after` as seconds or a date.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;

use crate::ports::{RateLimit, Window};

/// Longest wait that is believed; a mistake in a header must not switch a provider off for ever.
const LONGEST: Duration = Duration::from_secs(3600);

/// What the headers say at `now`.
pub(super) fn rate_limit(headers: &HeaderMap, now: Timestamp) -> RateLimit {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let window = |of: &str| {
        let remaining = text(&format!("x-ratelimit-remaining-{of}"))?.parse().ok()?;
        let resets_in = text(&format!("x-ratelimit-reset-{of}")).and_then(duration);
        Some(Window { remaining, resets_in })
    };
    let millis = || text("retry-after-ms")?.parse().ok().map(Duration::from_millis);
    let retry_after = millis().or_else(|| text("retry-after").and_then(|value| wait(value, now)));
    RateLimit {
        requests: window("requests"),
        tokens: window("tokens"),
        retry_after: retry_after.map(|wait| wait.min(LONGEST)),
    }
}

/// Seconds, or the date until which to stay away.
fn wait(text: &str, now: Timestamp) -> Option<Duration> {
    duration(text).or_else(|| {
        let date = jiff::fmt::rfc2822::parse(text).ok()?;
        // A date that passed is no wait.
        Some(date.timestamp().duration_since(now).try_into().unwrap_or(Duration::ZERO))
    })
}

/// `1h2m3.5s`, `20ms`, or plain seconds.
fn duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(LONGEST));
    }
    let (mut rest, mut seconds) = (text, 0.0);
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
        seconds += number.parse::<f64>().ok()? * scale;
        rest = &unit[ends..];
    }
    (!text.is_empty()).then_some(())?;
    Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
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
    fn what_is_left_and_when_it_comes_back_is_told() {
        let said = headers(&[
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "1m"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-tokens", "whenever"),
        ]);
        let found = rate_limit(&said, Timestamp::UNIX_EPOCH);
        assert_eq!(found.requests, Some(Window { remaining: 0, resets_in: Some(Duration::from_secs(60)) }));
        assert_eq!(found.tokens, Some(Window { remaining: 149_984, resets_in: None }));
        assert_eq!(found.retry_after, None);
        let broken = headers(&[("x-ratelimit-remaining-requests", "many")]);
        assert_eq!(rate_limit(&broken, Timestamp::UNIX_EPOCH), RateLimit::default());
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_longer_than_an_hour() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let seconds = |text| rate_limit(&headers(&[("retry-after", text)]), now).retry_after.map(|wait| wait.as_secs());
        assert_eq!(seconds("7"), Some(7));
        assert_eq!(seconds("Sat, 21 Nov 2026 10:00:30 GMT"), Some(30));
        assert_eq!(seconds("Sat, 21 Nov 2026 09:00:30 GMT"), Some(0));
        assert_eq!(seconds("999999999"), Some(3600));
        assert_eq!(seconds("later"), None);
        let both = headers(&[("retry-after", "7"), ("retry-after-ms", "1500")]);
        assert_eq!(rate_limit(&both, now).retry_after, Some(Duration::from_millis(1_500)));
    }
}
