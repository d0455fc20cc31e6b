//! The names of answers. Whoever shows one shows that the answer was given here, and nothing is kept of it for that.
//!
//! A name is a UUID of version 8: the millisecond in which the answer began, 26 random bits, and 48 bits of a keyed hash of these and of the tenant. The key stands in the records, so every replica knows the names that
//! another one gave, also after a restart. Who does not have it guesses a name once in 2^48 tries, and each try is a request.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use uuid::{Builder, Uuid};

use crate::{
    model::Tenant,
    ports::{Clock, Kind, Put, Records, StoreError, SystemClock},
};

/// The record of the key.
const RECORD: &str = "answers";

/// How far the clocks of two replicas may be apart.
const MAX_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Gives names to answers, and knows them again. Cheap to clone.
#[derive(Clone)]
pub struct AnswerIds {
    key: [u8; 32],
    clock: Arc<dyn Clock>,
}

/// What is kept of the key.
#[derive(Serialize, Deserialize)]
struct Kept {
    key: String,
}

impl AnswerIds {
    /// Names that only those know who hold this.
    pub(super) fn unshared() -> Self {
        Self { key: rand::random(), clock: Arc::new(SystemClock) }
    }

    /// The names of the corpus that these records are of.
    pub async fn of(records: &dyn Records, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let record = match records.get(Kind::Corpus, RECORD).await? {
            Some(record) => record,
            None => {
                let body = serde_json::json!(Kept { key: hex::encode(rand::random::<[u8; 32]>()) });
                match records.put_if_absent(Kind::Corpus, RECORD, body).await? {
                    Put::Created(record) | Put::Existing(record) => record,
                }
            }
        };
        // What is wrong with it is not said: it is a secret.
        let corrupt =
            || StoreError::Corrupt { what: format!("the record {RECORD}"), cause: "it holds no key".to_owned() };
        let kept: Kept = serde_json::from_value(record.body).map_err(|_| corrupt())?;
        let mut key = [0; 32];
        hex::decode_to_slice(kept.key, &mut key).map_err(|_| corrupt())?;
        Ok(Self { key, clock })
    }

    /// A name for an answer that begins now.
    pub(super) fn name(&self, tenant: &Tenant) -> Uuid {
        let millis = u64::try_from(self.clock.now().as_millisecond()).unwrap_or_default();
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        bytes[6..10].copy_from_slice(&rand::random::<[u8; 4]>());
        let mut bytes = Builder::from_custom_bytes(bytes).into_uuid().into_bytes();
        let seal = self.seal(&bytes, tenant);
        bytes[10..].copy_from_slice(&seal);
        Uuid::from_bytes(bytes)
    }

    /// Whether an answer of this name was given to this tenant, and no longer ago than this.
    pub fn was_given(&self, id: Uuid, tenant: &Tenant, within: SignedDuration) -> bool {
        let bytes = id.as_bytes();
        if !bool::from(self.seal(bytes, tenant).ct_eq(&bytes[10..])) {
            return false;
        }
        let [a, b, c, d, e, f, ..] = *bytes;
        let millis = i64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        let age = Timestamp::from_millisecond(millis).map(|given| self.clock.now().duration_since(given));
        age.is_ok_and(|age| -MAX_SKEW <= age && age <= within)
    }

    /// What proves the first ten bytes of a name.
    fn seal(&self, bytes: &[u8; 16], tenant: &Tenant) -> [u8; 6] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&bytes[..10]).update(tenant.as_str().as_bytes());
        let [a, b, c, d, e, f, ..] = *hasher.finalize().as_bytes();
        [a, b, c, d, e, f]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::doubles::RecordsDouble;

    struct Set(Mutex<Timestamp>);

    impl Clock for Set {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    #[tokio::test]
    async fn every_replica_knows_the_names_that_another_one_gave_and_nobody_elses() {
        let (records, others) = (RecordsDouble::default(), RecordsDouble::default());
        let clock = || Arc::new(SystemClock);
        let (one, two) =
            (AnswerIds::of(&records, clock()).await.unwrap(), AnswerIds::of(&records, clock()).await.unwrap());
        let stranger = AnswerIds::of(&others, clock()).await.unwrap();
        let (acme, default) = ("acme".parse().unwrap(), Tenant::default());
        let id = one.name(&acme);
        assert!(two.was_given(id, &acme, DAY) && one.was_given(id, &acme, DAY));
        assert!(!two.was_given(id, &default, DAY), "another tenant's answer");
        assert!(!stranger.was_given(id, &acme, DAY), "another corpus's answer");
        assert!(!one.was_given(Uuid::new_v4(), &acme, DAY) && !one.was_given(Uuid::nil(), &default, DAY));
        assert_eq!((id.get_version_num(), id == one.name(&acme)), (8, false));
        for bit in 0..128 {
            let altered = Uuid::from_u128(id.as_u128() ^ (1 << bit));
            assert!(!one.was_given(altered, &acme, DAY), "bit {bit} can be changed");
        }
    }

    #[test]
    fn a_name_is_known_for_a_while() {
        let clock = Arc::new(Set(Mutex::new("2026-02-03T04:05:06Z".parse().unwrap())));
        let ids = AnswerIds { clock: Arc::clone(&clock) as _, ..AnswerIds::unshared() };
        let (id, tenant) = (ids.name(&Tenant::default()), Tenant::default());
        let after = |moved: SignedDuration| {
            *clock.0.lock().unwrap() += moved;
            ids.was_given(id, &tenant, DAY)
        };
        assert!(after(DAY));
        assert!(!after(SignedDuration::from_secs(1)));
        assert!(after(-DAY - MAX_SKEW), "the clock of another replica is behind");
        assert!(!after(-DAY), "nothing is answered tomorrow");
    }
}
