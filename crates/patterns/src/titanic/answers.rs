//! Exactly once, in effect: what a client was answered, under the client's id and the number that it
//! gave to its message. A request that comes again is answered from here and not executed again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use xebec::Frame;

use super::record::frames_len;
use super::{Mark, StoreError};

/// A place to keep answers, for as long as its [`Bounds`] allow.
pub trait Answers: Send + Sync {
    /// What the client was answered to the message of that number, unless it is forgotten.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or a failure of the disk.
    fn answered(
        &self,
        client: &[u8],
        number: u64,
        now: SystemTime,
    ) -> Result<Option<Vec<Frame>>, StoreError>;

    /// Keeps an answer, which must be durable before it is sent: give the mark to
    /// [`Answers::settle`]. The first one kept under a key stays.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] if it alone is more than the bounds allow or the id of the client has
    /// more than 255 bytes, [`StoreError::Full`], or a failure of the disk.
    fn keep(
        &self,
        client: &[u8],
        number: u64,
        answer: &[Frame],
        now: SystemTime,
    ) -> Result<Mark, StoreError>;

    /// Returns when everything up to `mark` is durable.
    ///
    /// # Errors
    /// The disk failed.
    fn settle(&self, mark: Mark) -> Result<(), StoreError>;

    /// How many are kept, and their bytes.
    fn held(&self) -> (usize, u64);
}

/// How much is kept of what clients were answered. What exceeds one of the bounds is forgotten,
/// oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// So many answers.
    pub count: usize,
    /// So many bytes of ids and answers.
    pub bytes: u64,
    /// For so long: longer than clients go on trying.
    pub age: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            count: 100_000,
            bytes: 64 << 20,
            age: Duration::from_secs(600),
        }
    }
}

/// The longest id of a client.
pub(super) const MAX_CLIENT: usize = 255;

/// Who was answered, and to which message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) client: Box<[u8]>,
    pub(super) number: u64,
}

impl Key {
    pub(super) fn new(client: &[u8], number: u64) -> Self {
        Key {
            client: client.into(),
            number,
        }
    }
}

/// Values in the order in which they came, within bounds.
#[derive(Debug)]
pub(super) struct Recent<V> {
    bounds: Bounds,
    values: HashMap<Arc<Key>, Value<V>>,
    order: VecDeque<Arc<Key>>,
    bytes: u64,
}

#[derive(Debug)]
struct Value<V> {
    value: V,
    bytes: u64,
    at: u64,
}

impl<V> Recent<V> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Recent {
            bounds,
            values: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
        }
    }

    /// The value under a key, whatever its age.
    pub(super) fn value(&self, key: &Key) -> Option<&V> {
        self.values.get(key).map(|kept| &kept.value)
    }

    /// The same, to be changed.
    pub(super) fn value_mut(&mut self, key: &Key) -> Option<&mut V> {
        self.values.get_mut(key).map(|kept| &mut kept.value)
    }

    /// The value under a key.
    pub(super) fn get(&self, key: &Key, now: u64) -> Option<&V> {
        let kept = self.values.get(key)?;
        (!self.is_old(kept.at, now)).then_some(&kept.value)
    }

    fn is_old(&self, at: u64, now: u64) -> bool {
        u128::from(now.saturating_sub(at)) > self.bounds.age.as_millis()
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn held(&self) -> (usize, u64) {
        (self.values.len(), self.bytes)
    }

    /// Whether so many bytes can be kept at all.
    pub(super) fn takes(&self, bytes: u64) -> Result<(), StoreError> {
        if bytes > self.bounds.bytes || self.bounds.count == 0 {
            return Err(StoreError::TooLarge {
                bytes,
                limit: self.bounds.bytes,
            });
        }
        Ok(())
    }

    /// Adds a value under a key that has none, and shows what has to go for it.
    pub(super) fn insert(
        &mut self,
        key: Arc<Key>,
        value: V,
        bytes: u64,
        at: u64,
        mut gone: impl FnMut(V),
    ) {
        self.bytes += bytes;
        self.order.push_back(key.clone());
        self.values.insert(key, Value { value, bytes, at });
        self.trim(at, &mut gone);
    }

    /// Removes a value for another reason than its age.
    pub(super) fn remove(&mut self, key: &Key) -> Option<V> {
        let kept = self.values.remove(key)?;
        self.bytes -= kept.bytes;
        self.order.retain(|other| **other != *key);
        Some(kept.value)
    }

    /// Shows what has to go, as of now.
    pub(super) fn trim(&mut self, now: u64, gone: &mut impl FnMut(V)) {
        while let Some(oldest) = self.order.front() {
            let at = self.values[oldest].at;
            if self.values.len() <= self.bounds.count
                && self.bytes <= self.bounds.bytes
                && !self.is_old(at, now)
            {
                return;
            }
            let key = self.order.pop_front().expect("it was looked at");
            let kept = self.values.remove(&key).expect("it is in the order");
            self.bytes -= kept.bytes;
            gone(kept.value);
        }
    }

    /// Puts the order right after a recovery, which does not meet values in the order of their age.
    pub(super) fn sort(&mut self) {
        let values = &self.values;
        let at = |key: &Arc<Key>| values[key].at;
        self.order.make_contiguous().sort_by_key(at);
    }
}

/// Milliseconds since 1970.
pub(super) fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(u64::MAX)
}

/// What an answer counts for.
pub(super) fn weight(client: &[u8], answer: &[Frame]) -> Result<u64, StoreError> {
    if client.len() > MAX_CLIENT {
        return Err(StoreError::TooLarge {
            bytes: client.len() as u64,
            limit: MAX_CLIENT as u64,
        });
    }
    Ok((client.len() + frames_len(answer)) as u64)
}

/// Answers in memory. They are lost with the process.
#[derive(Debug)]
pub struct MemoryAnswers(Mutex<Recent<Vec<Frame>>>);

impl MemoryAnswers {
    /// None yet.
    pub fn new(bounds: Bounds) -> Self {
        MemoryAnswers(Mutex::new(Recent::new(bounds)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Answers for MemoryAnswers {
    fn answered(
        &self,
        client: &[u8],
        number: u64,
        now: SystemTime,
    ) -> Result<Option<Vec<Frame>>, StoreError> {
        let key = Key::new(client, number);
        Ok(self.0.lock().get(&key, millis(now)).cloned())
    }

    fn keep(
        &self,
        client: &[u8],
        number: u64,
        answer: &[Frame],
        now: SystemTime,
    ) -> Result<Mark, StoreError> {
        let bytes = weight(client, answer)?;
        let mut recent = self.0.lock();
        recent.takes(bytes)?;
        let now = millis(now);
        recent.trim(now, &mut drop);
        let key = Key::new(client, number);
        if recent.value(&key).is_none() {
            recent.insert(key.into(), answer.to_vec(), bytes, now, drop);
        }
        Ok(Mark(0))
    }

    fn settle(&self, _mark: Mark) -> Result<(), StoreError> {
        Ok(())
    }

    fn held(&self) -> (usize, u64) {
        self.0.lock().held()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn text(answers: &MemoryAnswers, client: &str, number: u64, now: u64) -> Option<String> {
        let answer = answers
            .answered(client.as_bytes(), number, at(now))
            .unwrap()?;
        Some(answer[0].to_string_lossy().into_owned())
    }

    #[test]
    fn the_first_answer_stays_and_the_oldest_goes() {
        let answers = MemoryAnswers::new(Bounds {
            count: 2,
            bytes: 30,
            age: Duration::from_secs(10),
        });
        let keep = |client: &str, number, body: &str, now| {
            answers.keep(client.as_bytes(), number, &[Frame::from(body)], at(now))
        };
        keep("a", 1, "one", 0).unwrap();
        keep("a", 1, "other", 1).unwrap();
        assert_eq!(text(&answers, "a", 1, 10), Some("one".into()));
        assert_eq!(text(&answers, "b", 1, 10), None);
        assert_eq!(text(&answers, "a", 1, 11), None, "too old");
        keep("a", 1, "again", 11).unwrap();
        keep("b", 1, "two", 12).unwrap();
        keep("a", 2, "three", 13).unwrap();
        assert_eq!(text(&answers, "a", 1, 13), None, "more than two");
        assert_eq!(text(&answers, "b", 1, 13), Some("two".into()));
        keep("c", 1, "21 bytes in this text", 14).unwrap();
        assert_eq!(answers.len(), 1, "more than 30 bytes");
        let error = keep("c", 2, "thirty-one bytes are too many..", 15).unwrap_err();
        assert!(matches!(
            error,
            StoreError::TooLarge {
                bytes: 36,
                limit: 30
            }
        ));
        assert_eq!(text(&answers, "c", 1, 14).map(|text| text.len()), Some(21));
    }
}
