//! Which objects have to be looked at. A name waits at most once, so that the queue never outgrows the number of objects,
//! even while nobody works on it because another process holds the lease.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::Stream;
use tokio::sync::Notify;

/// The objects of a kind in a namespace that wait to be looked at.
#[derive(Default)]
pub struct Queue {
    waiting: Mutex<BTreeSet<String>>,
    filled: Notify,
}

impl Queue {
    /// Asks for a look at the object `name`.
    pub fn push(&self, name: &str) {
        if self.lock().insert(name.to_owned()) {
            self.filled.notify_one();
        }
    }

    /// The names, as they come in. Ends never; meant for one reader.
    pub fn stream(self: Arc<Self>) -> impl Stream<Item = String> + Send {
        futures::stream::unfold(self, |queue| async move {
            loop {
                let next = queue.lock().pop_first();
                match next {
                    Some(name) => return Some((name, queue)),
                    None => queue.filled.notified().await,
                }
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, StreamExt};

    #[tokio::test]
    async fn a_name_waits_only_once_and_nothing_is_lost() {
        let queue = Arc::new(Queue::default());
        for name in ["b", "a", "b"] {
            queue.push(name);
        }
        let mut names = Box::pin(queue.clone().stream());
        assert_eq!(names.next().await.as_deref(), Some("a"));
        assert_eq!(names.next().await.as_deref(), Some("b"));
        assert!(names.next().now_or_never().is_none());
        queue.push("b");
        assert_eq!(names.next().await.as_deref(), Some("b"));
    }

    #[tokio::test]
    async fn a_sleeping_reader_is_woken() {
        let queue = Arc::new(Queue::default());
        let mut names = Box::pin(queue.clone().stream());
        let reader = tokio::spawn(async move { names.next().await });
        tokio::task::yield_now().await;
        queue.push("late");
        assert_eq!(reader.await.unwrap().as_deref(), Some("late"));
    }
}
