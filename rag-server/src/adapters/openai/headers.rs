//! What a vendor's headers say about its rate limit. Vendors agree on the names and little else.

use std::time::SystemTime;

use reqwest::header::HeaderMap;

use crate::{
    outside,
    ports::{RateLimit, Window},
};

/// What the headers say at `now`.
pub(super) fn rate_limit(headers: &HeaderMap, now: SystemTime) -> RateLimit {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let window = |of: &str| {
        let remaining = text(&format!("x-ratelimit-remaining-{of}"))?.parse().ok()?;
        let resets_in = text(&format!("x-ratelimit-reset-{of}")).and_then(outside::duration);
        Some(Window { remaining, resets_in })
    };
    RateLimit {
        requests: window("requests"),
        tokens: window("tokens"),
        retry_after: outside::retry_after(headers, now),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn what_is_left_and_when_it_comes_back_is_told() {
        let said = headers(&[
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "1m"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-tokens", "whenever"),
            ("retry-after", "7"),
        ]);
        let found = rate_limit(&said, SystemTime::UNIX_EPOCH);
        assert_eq!(found.requests, Some(Window { remaining: 0, resets_in: Some(Duration::from_secs(60)) }));
        assert_eq!(found.tokens, Some(Window { remaining: 149_984, resets_in: None }));
        assert_eq!(found.retry_after, Some(Duration::from_secs(7)));
        let broken = headers(&[("x-ratelimit-remaining-requests", "many")]);
        assert_eq!(rate_limit(&broken, SystemTime::UNIX_EPOCH), RateLimit::default());
    }
}
